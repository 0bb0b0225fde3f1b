//! `bench frame`: how long the live view takes to draw, to take a key and to take a snapshot, of a made-up host of that size.

use anyhow::Result;
use serde_json::Value;

use super::example;
use super::options::Runs;

/// What can be chosen.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    runs: Runs,
    /// Sockets of the made-up host, all of them listed
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    sockets: u64,
    /// Call sites that opened them
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    callsites: u64,
    /// Width of the terminal
    #[arg(long, default_value_t = 160)]
    columns: u16,
    /// Height of the terminal
    #[arg(long, default_value_t = 48)]
    rows: u16,
}

/// Measures.
pub fn measure(options: &Options) -> Result<Value> {
    let Options { runs, sockets, callsites, columns, rows } = options;
    let arguments = [sockets.to_string(), callsites.to_string(), columns.to_string(), rows.to_string()];
    let figures = example::measure("leaktrace-tui", "bench_frames", &arguments, runs.count())?;
    println!("{columns}×{rows}, {sockets} sockets, {callsites} call sites; median of the runs [95 %]");
    println!("{:<36} {:>22} {:>22} {:>22}", "", "half took at most", "99 of 100", "the longest");
    for (name, words) in [
        ("frame", "drawing a frame"),
        ("key", "taking a key"),
        ("snapshot", "taking a snapshot"),
        ("derivation", "deriving from a snapshot, aside"),
    ] {
        print!("{words:<36}");
        for which in ["p50", "p99", "max"] {
            print!(" {:>22}", format!("{:.2} ms", figures.get(&format!("{name}_{which}_ms"))?.median()?));
        }
        println!();
    }
    let mut result = figures.to_json()?;
    for (name, value) in
        [("sockets", *sockets), ("callsites", *callsites), ("columns", (*columns).into()), ("rows", (*rows).into())]
    {
        result[name] = value.into();
    }
    Ok(result)
}
