//! `cargo xtask bench`: what leaktrace costs, as figures with intervals. Prints and writes them; never judges them, never fails on time.
//!
//! Each figure has its file. Here is decided which leaktrace is measured and where the figures go.

mod bpf;
mod bulk;
mod capture;
mod churn;
mod cpu;
mod example;
mod floor;
mod frame;
mod host;
mod load;
mod median;
mod memory;
mod options;
mod peers;
mod process;
mod profile;
mod scan;
mod series;
mod soak;
mod start;
mod symbols;
mod tracer;
mod turns;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::project;
use crate::setup::{self, Purpose};
use host::Host;
use options::Pairs;
use tracer::Subject;

/// What to measure, of which program.
#[derive(clap::Args)]
pub struct Request {
    #[command(subcommand)]
    figure: Figure,
    /// A built leaktrace to measure; without it, this tree's is built and measured
    #[arg(long, global = true, value_name = "PATH", env = "LEAKTRACE")]
    leaktrace: Option<PathBuf>,
    /// Also writes the figures here, as JSON
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// More arguments for leaktrace, such as --hooks tracepoint
    #[arg(last = true, global = true)]
    arguments: Vec<OsString>,
}

/// Which figure to measure.
#[derive(clap::Subcommand)]
enum Figure {
    /// Connections a second kept while leaktrace watches, with and without stacks, and while others do
    Churn(churn::Options),
    /// Throughput of one connection kept while leaktrace watches
    Bulk(bulk::Options),
    /// Processor time of a socket in the kernel from open to close, and of leaktrace for 1,000 connections
    Cpu(Pairs),
    /// Part of the load's processor time that hooks take, from a sampling profile: what holds on a noisy machine
    Profile(Pairs),
    /// Duration of the passes by number of sockets, beside ss
    Scan(scan::Options),
    /// Resident memory and memory of kernel maps by number of sockets
    Memory(memory::Options),
    /// Memory over time, every open counted, and a slow leak found, at full churn for as long as asked
    Soak(soak::Options),
    /// Time from exec to the first table, and resident memory then
    Start(start::Options),
    /// Time of one stack capture with frame pointers
    Capture(capture::Options),
    /// Time of a frame, a key and a snapshot in the live view
    Frame(frame::Options),
    /// Time of naming functions, cold and from the cache
    Symbols(symbols::Options),
}

/// Measures, prints, and writes the JSON if asked to.
pub fn bench(request: Request) -> Result<ExitCode> {
    ensure!(project::is_root(), "a benchmark of leaktrace needs root, as leaktrace does; run it as root");
    let subject = Subject { program: program(request.leaktrace)?, arguments: request.arguments };
    let host = Host::read()?;
    let identity = subject.identity()?;
    println!("{host}");
    println!("{identity}");
    println!();
    let (name, figures) = match &request.figure {
        Figure::Churn(options) => ("churn", churn::measure(&subject, options)?),
        Figure::Bulk(options) => ("bulk", bulk::measure(&subject, options)?),
        Figure::Cpu(pairs) => ("cpu", cpu::measure(&subject, pairs)?),
        Figure::Profile(pairs) => ("profile", profile::measure(&subject, pairs)?),
        Figure::Scan(options) => ("scan", scan::measure(&subject, options)?),
        Figure::Memory(options) => ("memory", memory::measure(&subject, options)?),
        Figure::Soak(options) => ("soak", soak::measure(&subject, options)?),
        Figure::Start(options) => ("start", start::measure(&subject, options)?),
        Figure::Capture(options) => ("capture", capture::measure(&subject, options)?),
        Figure::Frame(options) => ("frame", frame::measure(options)?),
        Figure::Symbols(options) => ("symbols", symbols::measure(&subject, options)?),
    };
    let load_after = host::load_average()?;
    println!();
    println!("load average {:.2} before, {load_after:.2} after", host.load_average);
    if let Some(path) = request.json {
        let all = json!({
            "host": host.to_json(),
            "load_average_after": load_after,
            "leaktrace": identity.to_json(),
            "figures": { name: figures },
        });
        write(&path, &all)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn program(given: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(program) = given {
        ensure!(program.is_file(), "no leaktrace at {}: give --leaktrace the path of a built one", program.display());
        return Ok(program);
    }
    setup::set_up(Purpose::Build)?;
    project::build_release(&["leaktrace"])?;
    Ok(project::release_program("leaktrace"))
}

fn write(path: &PathBuf, figures: &Value) -> Result<()> {
    let mut text = serde_json::to_string_pretty(figures)?;
    text.push('\n');
    fs::write(path, text).with_context(|| format!("cannot write the figures to {}", path.display()))
}
