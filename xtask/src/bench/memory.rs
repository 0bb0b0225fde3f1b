//! `bench memory`: what leaktrace takes by the number of open sockets: resident, and in kernel maps.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::load::{self, Crowd};
use super::options::{MIB, MOODS, Runs, Sizes};
use super::series::Series;
use super::tracer::Subject;
use super::turns;

/// What can be chosen.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    runs: Runs,
    #[command(flatten)]
    sizes: Sizes,
}

/// From the first table to the reading of its memory: two samples more at the default interval, and the time that they take beside so
/// many sockets.
fn settling(sockets: u64) -> Duration {
    Duration::from_millis(2500 + sockets / 200)
}

/// However expensive a sample is, the next one comes when it is due.
const NO_BUDGET: [&str; 2] = ["--cpu-budget", "0"];

/// What was measured, in mebibytes.
#[derive(Default)]
struct Memory {
    resident: Series,
    peak: Series,
    maps: Series,
}

/// Measures.
pub fn measure(subject: &Subject, options: &Options) -> Result<Value> {
    load::build(&["crowd"])?;
    // None first: what leaktrace takes on an idle host.
    let sizes = std::iter::once(0).chain(options.sizes.each());
    let sizes = sizes.map(|size| measure_size(subject, size, options.runs.count()));
    Ok(json!({ "sizes": sizes.collect::<Result<Vec<Value>>>()? }))
}

fn measure_size(subject: &Subject, size: u64, runs: usize) -> Result<Value> {
    let mut crowd = Crowd::open(size)?;
    let mut memory: [Memory; 2] = Default::default();
    for round in 0..runs {
        for place in turns::order(round, MOODS.len()) {
            let mut tracer = subject.start("top", &[MOODS[place].options, &NO_BUDGET].concat())?.running;
            thread::sleep(settling(size));
            tracer.still_runs()?;
            let resident = tracer.resident()?;
            memory[place].resident.push(resident.now as f64 / MIB);
            memory[place].peak.push(resident.peak as f64 / MIB);
            memory[place].maps.push(tracer.map_bytes()? as f64 / MIB);
        }
        crowd.as_mut().map_or(Ok(()), Crowd::still_there)?;
    }
    println!("{} sockets", crowd.as_ref().map_or(0, |crowd| crowd.sockets));
    let mut ways = Vec::new();
    for (mood, memory) in MOODS.iter().zip(&memory) {
        println!(
            "  {:<14} {:.1} MiB resident, {:.1} MiB at most, {:.1} MiB in kernel maps",
            mood.name,
            memory.resident.median()?,
            memory.peak.median()?,
            memory.maps.median()?
        );
        ways.push(json!({
            "way": mood.name, "resident_mib": memory.resident.to_json()?, "peak_resident_mib": memory.peak.to_json()?,
            "kernel_maps_mib": memory.maps.to_json()?,
        }));
    }
    Ok(json!({ "sockets": crowd.as_ref().map_or(0, |crowd| crowd.sockets), "ways": ways }))
}
