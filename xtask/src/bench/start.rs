//! `bench start`: from exec to the first table, and the memory resident then.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::median::Median;
use super::tracer::Subject;

/// Each way to a first table. The live view off a terminal prints one as soon as it watches, a report of no duration only one.
const WAYS: [(&str, &str, &[&str]); 2] =
    [("top", "top", &[]), ("report", "report --duration 0s", &["--duration", "0s"])];

const MIB: f64 = (1 << 20) as f64;

/// Starts leaktrace `runs` times each way, in turn.
pub fn measure(subject: &Subject, runs: usize) -> Result<Value> {
    // The first start also brings the program into the page cache.
    drop(subject.start("top", &[])?);
    let mut milliseconds = [Vec::new(), Vec::new()];
    let (mut now, mut peak) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        for ((subcommand, _, options), figures) in WAYS.iter().zip(&mut milliseconds) {
            let tracer = subject.start(subcommand, options)?;
            figures.push(tracer.to_first_table.as_secs_f64() * 1e3);
            // A report is over with its table, and its memory gone.
            if *subcommand == "top" {
                let resident = tracer.resident()?;
                now.push(resident.now as f64 / MIB);
                peak.push(resident.peak as f64 / MIB);
            }
        }
    }
    println!("{:<24} {:>8}  median [95 %]", "", "runs");
    let mut ways = Vec::new();
    for ((_, name, _), figures) in WAYS.iter().zip(&milliseconds) {
        let median = Median::of(figures).context("no run")?;
        println!("{name:<24} {runs:>8}  {median:.0} ms to the first table");
        ways.push(json!({ "command": name, "milliseconds_to_first_table": median.to_json(), "each": figures }));
    }
    let mut memory = serde_json::Map::new();
    for (name, words, figures) in [
        ("resident_mib", "resident at the first table", &now),
        ("peak_resident_mib", "resident at most until then", &peak),
    ] {
        let median = Median::of(figures).context("no run")?;
        println!("{:<24} {runs:>8}  {median:.1} MiB {words}", "top");
        memory.insert(name.to_owned(), json!({ "median": median.to_json(), "each": figures }));
    }
    Ok(json!({ "start": { "ways": ways, "memory": memory } }))
}
