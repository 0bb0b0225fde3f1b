//! `bench churn`: connections a second with leaktrace beside without, in pairs that take turns so that a busy machine hurts both.
//!
//! Beside it the processor time that a connection takes of the load, hooks included: other programs' work hardly shows in that.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::median::Median;
use super::tracer::{Cpu, Subject};
use crate::project;

/// Each way to trace, and its options.
const WAYS: [(&str, &[&str]); 2] = [("stacks", &[]), ("no stacks", &["--no-stacks"])];

/// What the load managed in one run.
#[derive(Clone, Copy)]
struct Run {
    per_second: f64,
    /// Processor time of the load for one connection, in microseconds.
    cpu_us: f64,
}

/// An untraced and a traced run beside each other.
struct Pair {
    untraced: Run,
    traced: Run,
    leaktrace: Share,
}

/// What leaktrace itself took during a traced run.
struct Share {
    /// In percent of one core.
    user: f64,
    system: f64,
}

impl Pair {
    /// Connections a second, in percent.
    fn kept(&self) -> f64 {
        self.traced.per_second / self.untraced.per_second * 100.0
    }

    /// What tracing adds to the processor time of one connection, in microseconds.
    fn added_us(&self) -> f64 {
        self.traced.cpu_us - self.untraced.cpu_us
    }

    /// What that would keep if the load had the machine to itself, in percent.
    fn kept_by_cpu(&self) -> f64 {
        self.untraced.cpu_us / self.traced.cpu_us * 100.0
    }

    fn to_json(&self) -> Value {
        json!({
            "untraced_per_second": self.untraced.per_second, "traced_per_second": self.traced.per_second,
            "kept_percent": self.kept(),
            "untraced_cpu_us": self.untraced.cpu_us, "traced_cpu_us": self.traced.cpu_us,
            "user_percent_of_core": self.leaktrace.user, "system_percent_of_core": self.leaktrace.system,
        })
    }
}

/// Measures `pairs` pairs for each way to trace, each run `span` long.
pub fn measure(subject: &Subject, pairs: usize, span: Duration) -> Result<Value> {
    build_load()?;
    // The first run after a build finds cold caches.
    load(span)?;
    println!(
        "{:<10} {:>4}  {:>12} {:>12} {:>7} {:>7} {:>7}",
        "", "pair", "untraced/s", "traced/s", "kept", "user", "system"
    );
    let mut measured = [Vec::new(), Vec::new()];
    for number in 0..pairs {
        for ((way, options), figures) in WAYS.iter().zip(&mut measured) {
            // Every other pair the other way round: what only grows or only shrinks over time cancels out.
            let pair = if number % 2 == 0 {
                let untraced = load(span)?;
                let (traced, leaktrace) = traced(subject, options, span)?;
                Pair { untraced, traced, leaktrace }
            } else {
                let (traced, leaktrace) = traced(subject, options, span)?;
                Pair { untraced: load(span)?, traced, leaktrace }
            };
            println!(
                "{way:<10} {:>4}  {:>11.0} {:>11.0} {:>6.1}% {:>6.1} µs {:>6.1} µs {:>6.2}% {:>6.2}%",
                number + 1,
                pair.untraced.per_second,
                pair.traced.per_second,
                pair.kept(),
                pair.untraced.cpu_us,
                pair.traced.cpu_us,
                pair.leaktrace.user,
                pair.leaktrace.system
            );
            figures.push(pair);
        }
    }
    println!();
    let mut ways = Vec::new();
    for ((way, _), figures) in WAYS.iter().zip(&measured) {
        ways.push(summary(way, figures)?);
    }
    Ok(json!({ "churn": { "seconds_per_run": span.as_secs_f64(), "ways": ways } }))
}

fn summary(way: &str, pairs: &[Pair]) -> Result<Value> {
    let median =
        |figure: fn(&Pair) -> f64| Median::of(&pairs.iter().map(figure).collect::<Vec<_>>()).context("no pair");
    let (kept, untraced) = (median(Pair::kept)?, median(|pair| pair.untraced.per_second)?);
    // A tick is half a percent of a run of two seconds, so their mean says more than their median.
    let mean = |figure: fn(&Pair) -> f64| pairs.iter().map(figure).sum::<f64>() / pairs.len() as f64;
    let (user, system) = (mean(|pair| pair.leaktrace.user), mean(|pair| pair.leaktrace.system));
    println!(
        "{way:<10} keeps {kept:.1} % of {:.0} connections/s; leaktrace takes {user:.2} % of a core in user space, {system:.2} % in the kernel",
        untraced.value
    );
    let (added, by_cpu) = (median(Pair::added_us)?, median(Pair::kept_by_cpu)?);
    println!("{:<10} adds {added:.1} µs of processor time to a connection; by that alone it keeps {by_cpu:.1} %", "");
    Ok(json!({
        "way": way,
        "kept_percent": kept.to_json(),
        "untraced_per_second": untraced.to_json(),
        "added_cpu_us": added.to_json(),
        "kept_percent_by_cpu": by_cpu.to_json(),
        "user_percent_of_core": user,
        "system_percent_of_core": system,
        "pairs": pairs.iter().map(Pair::to_json).collect::<Vec<_>>(),
    }))
}

/// A run under leaktrace, and what leaktrace took.
fn traced(subject: &Subject, options: &[&str], span: Duration) -> Result<(Run, Share)> {
    let mut tracer = subject.start("top", options)?;
    let (before, begun) = (tracer.cpu()?, Instant::now());
    let run = load(span)?;
    tracer.still_runs()?;
    let Cpu { user, system } = tracer.cpu()? - before;
    let percent = 100.0 / begun.elapsed().as_secs_f64();
    Ok((run, Share { user: user.as_secs_f64() * percent, system: system.as_secs_f64() * percent }))
}

fn build_load() -> Result<()> {
    project::must_run(project::cargo().args(["build", "--release", "--package", "leaktrace-tests", "--bin", "churn"]))
}

/// One run of the load.
fn load(span: Duration) -> Result<Run> {
    let mut churn = Command::new(project::release_program("churn"));
    let line = project::output_of(churn.arg("--seconds").arg(span.as_secs_f64().to_string()))?;
    let result: Value = serde_json::from_str(&line).context("the load printed no JSON")?;
    if let Some(failed) = result["failed"].as_u64().filter(|failed| *failed > 0) {
        eprintln!("{failed} connections failed in the run that follows");
    }
    let figure = |name| result[name].as_f64().with_context(|| format!("the load printed no {name}"));
    let cpu_us = figure("cpu_seconds")? * 1e6 / figure("connections")?;
    Ok(Run { per_second: figure("connections_per_second")?, cpu_us })
}
