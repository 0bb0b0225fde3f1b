//! `bench churn`: connections a second with leaktrace beside without, in pairs that take turns so that a busy machine hurts both.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::median::Median;
use super::tracer::{Cpu, Subject};
use crate::project;

/// Each way to trace, and its options.
const WAYS: [(&str, &[&str]); 2] = [("stacks", &[]), ("no stacks", &["--no-stacks"])];

/// An untraced and a traced run beside each other.
struct Pair {
    /// Connections a second.
    untraced: f64,
    traced: f64,
    /// Of leaktrace, in percent of one core.
    user: f64,
    system: f64,
}

impl Pair {
    /// In percent.
    fn kept(&self) -> f64 {
        self.traced / self.untraced * 100.0
    }

    fn to_json(&self) -> Value {
        json!({
            "untraced_per_second": self.untraced, "traced_per_second": self.traced, "kept_percent": self.kept(),
            "user_percent_of_core": self.user, "system_percent_of_core": self.system,
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
                Pair { untraced, ..traced(subject, options, span)? }
            } else {
                let pair = traced(subject, options, span)?;
                Pair { untraced: load(span)?, ..pair }
            };
            println!(
                "{way:<10} {:>4}  {:>12.0} {:>12.0} {:>6.1}% {:>6.2}% {:>6.2}%",
                number + 1,
                pair.untraced,
                pair.traced,
                pair.kept(),
                pair.user,
                pair.system
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
    let (kept, untraced) = (median(Pair::kept)?, median(|pair| pair.untraced)?);
    // A tick is half a percent of a run of two seconds, so their mean says more than their median.
    let mean = |figure: fn(&Pair) -> f64| pairs.iter().map(figure).sum::<f64>() / pairs.len() as f64;
    let (user, system) = (mean(|pair| pair.user), mean(|pair| pair.system));
    println!(
        "{way:<10} keeps {kept:.1} % of {:.0} connections/s; leaktrace takes {user:.2} % of a core in user space, {system:.2} % in the kernel",
        untraced.value
    );
    Ok(json!({
        "way": way,
        "kept_percent": kept.to_json(),
        "untraced_per_second": untraced.to_json(),
        "user_percent_of_core": user,
        "system_percent_of_core": system,
        "pairs": pairs.iter().map(Pair::to_json).collect::<Vec<_>>(),
    }))
}

/// A run under leaktrace, with no untraced one beside it yet.
fn traced(subject: &Subject, options: &[&str], span: Duration) -> Result<Pair> {
    let mut tracer = subject.start("top", options)?;
    let (before, begun) = (tracer.cpu()?, Instant::now());
    let traced = load(span)?;
    tracer.still_runs()?;
    let Cpu { user, system } = tracer.cpu()? - before;
    let percent = 100.0 / begun.elapsed().as_secs_f64();
    Ok(Pair { untraced: f64::NAN, traced, user: user.as_secs_f64() * percent, system: system.as_secs_f64() * percent })
}

fn build_load() -> Result<()> {
    project::must_run(project::cargo().args(["build", "--release", "--package", "leaktrace-tests", "--bin", "churn"]))
}

/// Connections a second over one run of the load.
fn load(span: Duration) -> Result<f64> {
    let mut churn = Command::new(project::release_program("churn"));
    let line = project::output_of(churn.arg("--seconds").arg(span.as_secs_f64().to_string()))?;
    let result: Value = serde_json::from_str(&line).context("the load printed no JSON")?;
    if let Some(failed) = result["failed"].as_u64().filter(|failed| *failed > 0) {
        eprintln!("{failed} connections failed in the run that follows");
    }
    result["connections_per_second"].as_f64().context("the load printed no connections_per_second")
}
