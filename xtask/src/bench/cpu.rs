//! `bench cpu`: processor time that tracing adds to one socket from open to close, in the kernel and in leaktrace, under churn.
//!
//! In the kernel it is measured twice: what a connection costs the load more than untraced, and what the kernel's own clock says
//! that leaktrace's programs ran. The second includes what the clock takes, and is kept in runs of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::bpf::RunTimes;
use super::churn;
use super::options::Pairs;
use super::process::Cpu;
use super::series::Series;
use super::tracer::Subject;
use super::{load, turns};

/// Both ends of a connection are sockets of this host.
const SOCKETS_OF_A_CONNECTION: f64 = 2.0;

/// Each way to trace, and its options.
const WAYS: [(&str, &[&str]); 2] = [("stacks", &[]), ("no stacks", &["--no-stacks"])];

/// What was measured of one way.
#[derive(Default)]
struct Figures {
    added_ns: Series,
    user_us: Series,
    system_us: Series,
    hooks_ns: Series,
    /// Of the load's processor time in the same run: other programs' work hurts both alike.
    hooks_percent: Series,
    /// By program.
    programs: BTreeMap<String, Series>,
}

/// Measures.
pub fn measure(subject: &Subject, pairs: &Pairs) -> Result<Value> {
    load::build(&["churn"])?;
    let span = pairs.span();
    churn::load(span)?;
    let mut figures: [Figures; 2] = Default::default();
    for round in 0..pairs.count() {
        for ((_, options), figures) in WAYS.iter().zip(&mut figures) {
            let (untraced, (traced, own)) =
                turns::pair(round, || churn::load(span), || traced(subject, options, span))?;
            figures.added_ns.push((traced.cpu_us - untraced.cpu_us) * 1e3 / SOCKETS_OF_A_CONNECTION);
            figures.user_us.push(own.user.as_secs_f64() * 1e6 / (traced.connections / 1e3));
            figures.system_us.push(own.system.as_secs_f64() * 1e6 / (traced.connections / 1e3));
            figures.add_hooks(subject, options, span)?;
        }
    }
    let ways: Vec<Value> =
        WAYS.iter().zip(&figures).map(|((name, _), figures)| figures.summary(name)).collect::<Result<_>>()?;
    Ok(json!({ "seconds_per_run": span.as_secs_f64(), "ways": ways }))
}

fn traced(subject: &Subject, options: &[&str], span: Duration) -> Result<(churn::Run, Cpu)> {
    let mut tracer = subject.start("top", options)?.running;
    let before = tracer.cpu()?;
    let run = churn::load(span)?;
    tracer.still_runs()?;
    Ok((run, tracer.cpu()? - before))
}

impl Figures {
    /// A run in which the kernel keeps the times of programs.
    fn add_hooks(&mut self, subject: &Subject, options: &[&str], span: Duration) -> Result<()> {
        // Without passes, which are no part of opening and closing a socket.
        let tracer = subject.start("top", &[options, &["--interval", "1h"]].concat())?.running;
        let run = {
            let _run_times = RunTimes::keep()?;
            churn::load(span)?
        };
        let mut sum = 0.0;
        for program in tracer.programs()?.into_iter().filter(|program| program.runs > 0) {
            let ns = program.run_ns as f64 / (run.connections * SOCKETS_OF_A_CONNECTION);
            sum += ns;
            self.programs.entry(program.name).or_default().push(ns);
        }
        self.hooks_ns.push(sum);
        self.hooks_percent.push(sum * SOCKETS_OF_A_CONNECTION / (run.cpu_us * 1e3) * 100.0);
        Ok(())
    }

    fn summary(&self, name: &str) -> Result<Value> {
        println!(
            "{name:<10} adds {:.0} ns of processor time to a socket's life, seen from the load",
            self.added_ns.median()?
        );
        println!(
            "{:<10} hooks run for {:.0} ns in a socket's life, {:.2} % of the load's time, by the kernel's clock:",
            "",
            self.hooks_ns.median()?,
            self.hooks_percent.median()?
        );
        let mut programs = serde_json::Map::new();
        for (program, series) in &self.programs {
            println!("{:<10}   {program:<15} {:.0} ns", "", series.median()?);
            programs.insert(program.clone(), series.to_json()?);
        }
        println!(
            "{:<10} takes {:.0} µs in user space for 1,000 connections, and {:.0} µs in the kernel (mean)",
            "",
            self.user_us.mean(),
            self.system_us.mean()
        );
        Ok(json!({
            "way": name,
            "added_ns_of_a_socket": self.added_ns.to_json()?,
            "hooks_ns_of_a_socket": self.hooks_ns.to_json()?,
            "hooks_percent_of_load": self.hooks_percent.to_json()?,
            "programs_ns_of_a_socket": programs,
            "user_us_of_1000_connections": self.user_us.to_json()?,
            "system_us_of_1000_connections": self.system_us.to_json()?,
        }))
    }
}
