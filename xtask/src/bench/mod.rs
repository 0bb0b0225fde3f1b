//! `cargo xtask bench`: what leaktrace costs, as figures with intervals. Prints and writes them; never judges them, never fails on time.
//!
//! Each figure has its file; here is what they share: which leaktrace is measured, and where the figures go.

mod churn;
mod host;
mod median;
mod start;
mod tracer;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::project;
use crate::setup::{self, Purpose};
use host::Host;
use tracer::Subject;

/// Which figure to measure.
pub enum Figure {
    /// Connections a second kept under churn.
    Churn {
        /// Untraced and traced runs beside each other, for each way to trace.
        pairs: usize,
        /// How long one run takes.
        span: Duration,
    },
    /// Time from exec to the first table, and the memory it took.
    Start {
        /// How often to start.
        runs: usize,
    },
}

/// What to measure, of which program.
pub struct Request {
    /// The figure.
    pub figure: Figure,
    /// A built leaktrace to measure in place of this tree's.
    pub leaktrace: Option<PathBuf>,
    /// More arguments for leaktrace.
    pub arguments: Vec<OsString>,
    /// Where the figures go as JSON.
    pub json: Option<PathBuf>,
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
    let figures = match request.figure {
        Figure::Churn { pairs, span } => churn::measure(&subject, pairs, span)?,
        Figure::Start { runs } => start::measure(&subject, runs)?,
    };
    let load_after = host::load_average()?;
    println!();
    println!("load average {:.2} before, {load_after:.2} after", host.load_average);
    if let Some(path) = request.json {
        let all = json!({
            "host": host.to_json(),
            "load_average_after": load_after,
            "leaktrace": identity.to_json(),
            "figures": figures,
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
