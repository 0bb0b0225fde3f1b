//! `bench start`: from exec to the first table, and the memory resident then; also beside sockets that must be adopted.
//!
//! Most of a start is the kernel's verifier. How many instructions it followed is the same on every run, however noisy the machine:
//! that shows whether a change of the kernel side made starts slower.

use std::cmp::Reverse;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::bpf::Program;
use super::load::{self, Crowd};
use super::options::{MIB, Runs};
use super::series::Series;
use super::tracer::Subject;
use super::turns;

/// What can be chosen.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    runs: Runs,
    /// Open sockets that are there before leaktrace is, and that it adopts before its first table
    #[arg(long, value_name = "N", default_value_t = 0)]
    sockets: u64,
}

/// Each way to a first table. The live view off a terminal prints one as soon as it watches, a report of no duration only one.
const WAYS: [(&str, &str, &[&str]); 2] =
    [("top", "top", &[]), ("report", "report --duration 0s", &["--duration", "0s"])];

/// Starts leaktrace each way, in turn.
pub fn measure(subject: &Subject, options: &Options) -> Result<Value> {
    if options.sockets > 0 {
        load::build(&["crowd"])?;
    }
    let mut crowd = Crowd::open(options.sockets)?;
    // The first start also brings the program into the page cache.
    let mut programs = subject.start("top", &[])?.running.programs()?;
    programs.sort_by_key(|program| Reverse(program.verified));
    let mut milliseconds: [Series; 2] = Default::default();
    let (mut now, mut peak) = (Series::default(), Series::default());
    for round in 0..options.runs.count() {
        for place in turns::order(round, WAYS.len()) {
            let (subcommand, _, options) = WAYS[place];
            let tracer = subject.start(subcommand, options)?;
            milliseconds[place].push(tracer.to_first_table.as_secs_f64() * 1e3);
            // A report is over with its table, and its memory gone.
            if subcommand == "top" {
                let resident = tracer.running.resident()?;
                now.push(resident.now as f64 / MIB);
                peak.push(resident.peak as f64 / MIB);
            }
        }
        crowd.as_mut().map_or(Ok(()), Crowd::still_there)?;
    }
    println!("{:<24} median [95 %]", "");
    let mut ways = Vec::new();
    for ((_, name, _), series) in WAYS.iter().zip(&milliseconds) {
        println!("{name:<24} {:.0} ms to the first table", series.median()?);
        ways.push(json!({ "command": name, "milliseconds_to_first_table": series.to_json()? }));
    }
    println!("{:<24} {:.1} MiB resident at the first table", "top", now.median()?);
    println!("{:<24} {:.1} MiB resident at most until then", "top", peak.median()?);
    Ok(json!({
        "verified_instructions": print_verified(&programs),
        "sockets": crowd.as_ref().map_or(0, |crowd| crowd.sockets), "ways": ways,
        "memory": { "resident_mib": now.to_json()?, "peak_resident_mib": peak.to_json()? },
    }))
}

/// Prints and gives what the verifier followed, program by program: nothing where the kernel does not tell.
fn print_verified(programs: &[Program]) -> Map<String, Value> {
    let each: Vec<_> = programs.iter().filter_map(|program| Some((&program.name, program.verified?))).collect();
    let total: u64 = each.iter().map(|(_, verified)| verified).sum();
    let words: Vec<String> = each.iter().map(|(name, verified)| format!("{name} {verified}")).collect();
    if !each.is_empty() {
        println!("{:<24} {total} instructions followed by the verifier: {}", "", words.join(", "));
    }
    each.into_iter().map(|(name, verified)| (name.clone(), json!(verified))).collect()
}
