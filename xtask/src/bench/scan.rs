//! `bench scan`: a sampling pass over so many sockets beside `ss` over the same, and the pass over their holders.
//!
//! leaktrace's figures are what its report says of its last pass; `ss` is measured from start to end, writing to /dev/null. Once no
//! socket has a verdict, once every one has: the first is the rule, the second the worst.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::load::{self, Crowd};
use super::series::Series;
use super::tracer::Subject;
use super::{MOODS, Runs, Sizes, turns};

/// What can be chosen.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    runs: Runs,
    #[command(flatten)]
    sizes: Sizes,
}

/// The forms of `ss` that show what leaktrace looks at: sockets, and sockets with what TCP knows of each.
const SS: [&str; 2] = ["-tn", "-tni"];

/// From the first pass, which adopts the sockets, to the one that is measured.
const WATCH: [&str; 4] = ["--duration", "500ms", "--interval", "1h"];

/// What was measured of leaktrace, in milliseconds.
#[derive(Default)]
struct Pass {
    wall: Series,
    cpu: Series,
    holders_cpu: Series,
}

/// Measures.
pub fn measure(subject: &Subject, options: &Options) -> Result<Value> {
    load::build(&["crowd"])?;
    let sizes = options.sizes.each().map(|size| measure_size(subject, size, options.runs.count()));
    Ok(json!({ "sizes": sizes.collect::<Result<Vec<Value>>>()? }))
}

fn measure_size(subject: &Subject, size: u64, runs: usize) -> Result<Value> {
    let crowd = Crowd::open(size)?.context("no sockets to scan")?;
    let mut passes: [Pass; 2] = Default::default();
    let mut ss: [Series; 2] = Default::default();
    let mut times_faster = Series::default();
    for round in 0..runs {
        let mut quiet_and_ss = (0.0, 0.0);
        for place in turns::order(round, MOODS.len() + SS.len()) {
            if let Some((mood, pass)) = MOODS.iter().zip(&mut passes).nth(place) {
                let wall = pass.add(&subject.report(&[&WATCH, mood.options].concat())?, crowd.sockets)?;
                if place == 0 {
                    quiet_and_ss.0 = wall;
                }
            } else {
                let form = place - MOODS.len();
                let wall = run_ss(SS[form])?.as_secs_f64() * 1e3;
                ss[form].push(wall);
                if form == 0 {
                    quiet_and_ss.1 = wall;
                }
            }
        }
        times_faster.push(quiet_and_ss.1 / quiet_and_ss.0);
    }
    println!("{} sockets", crowd.sockets);
    let mut ways = Vec::new();
    for (mood, pass) in MOODS.iter().zip(&passes) {
        println!(
            "  pass, {:<14} {:.1} ms, {:.1} ms of processor time",
            mood.name,
            pass.wall.median()?,
            pass.cpu.median()?
        );
        println!("  {:<20} {:.1} ms of processor time", "its holders", pass.holders_cpu.median()?);
        ways.push(json!({
            "way": mood.name, "pass_ms": pass.wall.to_json()?, "pass_cpu_ms": pass.cpu.to_json()?,
            "holders_pass_cpu_ms": pass.holders_cpu.to_json()?,
        }));
    }
    for (form, series) in SS.iter().zip(&ss) {
        println!("  ss {form:<17} {:.1} ms", series.median()?);
        ways.push(json!({ "way": format!("ss {form}"), "ms": series.to_json()? }));
    }
    println!("  the pass, {} is {:.1} times as fast as ss -tn", MOODS[0].name, times_faster.median()?);
    Ok(json!({ "sockets": crowd.sockets, "ways": ways, "times_as_fast_as_ss_tn": times_faster.to_json()? }))
}

impl Pass {
    /// Takes in what a report says of its last passes; gives how long the sampling pass took, in milliseconds.
    fn add(&mut self, report: &Value, sockets: u64) -> Result<f64> {
        let open = report["totals"]["open"].as_u64().unwrap_or_default();
        ensure!(open >= sockets, "leaktrace sees {open} sockets, and {sockets} are open: give it no filters");
        let milliseconds = |name: &str| {
            let seconds = report["health"][name].as_f64();
            Ok::<_, anyhow::Error>(
                seconds.with_context(|| format!("the report has no {name}: this leaktrace is too old"))? * 1e3,
            )
        };
        let wall = milliseconds("pass_s")?;
        self.wall.push(wall);
        self.cpu.push(milliseconds("pass_cpu_s")?);
        self.holders_cpu.push(milliseconds("holders_pass_cpu_s")?);
        Ok(wall)
    }
}

fn run_ss(form: &str) -> Result<Duration> {
    let begun = Instant::now();
    let status =
        Command::new("ss").arg(form).stdout(Stdio::null()).status().context("cannot start ss (package iproute2)")?;
    let took = begun.elapsed();
    ensure!(status.success(), "ss {form} failed: {status}");
    Ok(took)
}
