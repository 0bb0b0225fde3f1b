//! `bench churn`: connections a second with a tracer beside without, in pairs that take turns so that a busy machine hurts both.
//!
//! Beside it the processor time that a connection takes of the load, hooks included: other programs' work hardly shows in that.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::floor::Floor;
use super::load::{self, Crowd};
use super::options::Pairs;
use super::peers::{PEERS, Peer};
use super::process::{Cpu, Running};
use super::series::Series;
use super::tracer::Subject;
use super::turns;
use crate::setup::{self, Purpose};

/// What can be chosen.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    pairs: Pairs,
    /// Beside this number of open sockets that do nothing, which makes leaktrace's passes expensive; also prints what the passes take
    #[arg(long, value_name = "N", default_value_t = 0)]
    crowd: u64,
    /// Seconds of rest after leaktrace's first table: beside a crowd, what comes then is what goes on for days, passes as far
    /// apart as the budget wants
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    settle: u16,
    /// leaktrace only, none of what people use today
    #[arg(long)]
    no_peers: bool,
}

/// Who watches.
enum Watcher {
    /// None: other programs where leaktrace's tracepoint hooks are.
    Floor(Floor),
    Leaktrace {
        name: &'static str,
        options: &'static [&'static str],
    },
    Peer(&'static Peer),
}

const STACKS: Watcher = Watcher::Leaktrace { name: "stacks", options: &[] };
const NO_STACKS: Watcher = Watcher::Leaktrace { name: "no stacks", options: &["--no-stacks"] };
/// As it comes.
const DEFAULT: Watcher = Watcher::Leaktrace { name: "default passes", options: &[] };
/// However expensive it is: with a budget, most runs would see none.
const A_PASS_A_SECOND: Watcher = Watcher::Leaktrace { name: "a pass a second", options: &["--cpu-budget", "0"] };
/// No pass after the first within any run.
const NO_PASSES: Watcher = Watcher::Leaktrace { name: "no passes", options: &["--interval", "1h"] };

/// What the load managed in one run.
#[derive(Clone, Copy)]
pub struct Run {
    /// Connections.
    pub connections: f64,
    /// Connections a second.
    pub per_second: f64,
    /// Processor time of the load for one connection, in microseconds.
    pub cpu_us: f64,
}

/// What was measured of one watcher, a figure for each pair.
#[derive(Default)]
struct Figures {
    kept_percent: Series,
    untraced_per_second: Series,
    traced_per_second: Series,
    added_cpu_us: Series,
    kept_percent_by_cpu: Series,
    user_percent_of_core: Series,
    system_percent_of_core: Series,
}

/// Measures.
pub fn measure(subject: &Subject, options: &Options) -> Result<Value> {
    load::build(&["churn", "crowd"])?;
    // The first run after a build finds cold caches.
    let span = options.pairs.span();
    load(span)?;
    let (peers, absent) = if options.no_peers { (Vec::new(), Vec::new()) } else { peers()? };
    let mut crowd = Crowd::open(options.crowd)?;
    let settled = Duration::from_secs(options.settle.into());
    // Beside a crowd the first two are compared with each other.
    let mut watchers = match (&crowd, settled.is_zero()) {
        (None, _) => vec![STACKS, NO_STACKS],
        (Some(_), true) => vec![A_PASS_A_SECOND, NO_PASSES, STACKS, NO_STACKS],
        (Some(_), false) => vec![DEFAULT, NO_PASSES],
    };
    if subject.identity()?.hooks == "tracepoint" && settled.is_zero() {
        watchers.extend([Floor::EmptyHooks, Floor::PlainTracer].map(Watcher::Floor));
    }
    watchers.extend(peers.into_iter().map(Watcher::Peer));
    println!(
        "{:<16} {:>4}  {:>11} {:>11} {:>7} {:>9} {:>9} {:>7} {:>7}",
        "", "pair", "untraced/s", "traced/s", "kept", "untraced", "traced", "user", "system"
    );
    let mut figures: Vec<Figures> = watchers.iter().map(|_| Figures::default()).collect();
    let mut lost_to_passes = Series::default();
    for round in 0..options.pairs.count() {
        let mut kept = Vec::new();
        for (watcher, figures) in watchers.iter().zip(&mut figures) {
            let (untraced, (traced, cpu)) =
                turns::pair(round, || load(span), || watcher.run_beside(subject, settled, span))?;
            println!("{:<16} {:>4}  {}", watcher.name(), round + 1, figures.add(untraced, traced, cpu));
            kept.push(traced.per_second / untraced.per_second);
        }
        if let Some(crowd) = &mut crowd {
            crowd.still_there()?;
            lost_to_passes.push((1.0 - kept[0] / kept[1]) * 100.0);
        }
    }
    println!();
    let ways: Vec<Value> = watchers
        .iter()
        .zip(&figures)
        .map(|(watcher, figures)| figures.summary(watcher.name()))
        .collect::<Result<_>>()?;
    for (name, reason) in &absent {
        println!("{name:<16} not measured: {reason}");
    }
    let mut result = json!({
        "seconds_per_run": span.as_secs_f64(), "seconds_settled": settled.as_secs(), "ways": ways,
        "crowd": crowd.as_ref().map_or(0, |crowd| crowd.sockets),
        "not_measured": absent.iter().map(|(name, reason)| json!({ "name": name, "reason": reason })).collect::<Vec<_>>(),
    });
    if crowd.is_some() {
        println!(
            "{}: passes take {:.1} % of the churn that is kept without",
            watchers[0].name(),
            lost_to_passes.median()?
        );
        result["lost_to_passes_percent"] = lost_to_passes.to_json()?;
    }
    Ok(result)
}

/// The peers that work here, and why the others do not.
#[expect(clippy::type_complexity, reason = "two lists, taken apart where it is called")]
fn peers() -> Result<(Vec<&'static Peer>, Vec<(&'static str, String)>)> {
    if let Err(error) = setup::set_up(Purpose::Bench) {
        eprintln!("not everything to compare with could be installed: {error:#}");
    }
    let (mut present, mut absent) = (Vec::new(), Vec::new());
    for peer in &PEERS {
        match peer.try_out()? {
            None => present.push(peer),
            Some(reason) => absent.push((peer.name, reason)),
        }
    }
    Ok((present, absent))
}

impl Watcher {
    fn name(&self) -> &'static str {
        match self {
            Self::Floor(floor) => floor.name(),
            Self::Leaktrace { name, .. } => name,
            Self::Peer(peer) => peer.name,
        }
    }

    fn run_beside(&self, subject: &Subject, settled: Duration, span: Duration) -> Result<(Run, CpuShare)> {
        match self {
            Self::Floor(floor) => {
                let _attached = floor.attach()?;
                Ok((load(span)?, CpuShare { user: 0.0, system: 0.0 }))
            }
            Self::Leaktrace { options, .. } => {
                let watcher = subject.start("top", options)?.running;
                thread::sleep(settled);
                run_beside(watcher, span)
            }
            Self::Peer(peer) => {
                let running = peer.start()?.map_err(|reason| anyhow::anyhow!("{}: {reason}", peer.name))?;
                run_beside(running, span)
            }
        }
    }
}

impl Figures {
    /// Takes in a pair, and shows it.
    fn add(&mut self, untraced: Run, traced: Run, cpu: CpuShare) -> String {
        let kept = traced.per_second / untraced.per_second * 100.0;
        self.kept_percent.push(kept);
        self.untraced_per_second.push(untraced.per_second);
        self.traced_per_second.push(traced.per_second);
        self.added_cpu_us.push(traced.cpu_us - untraced.cpu_us);
        // What would be kept if the load had the machine to itself.
        self.kept_percent_by_cpu.push(untraced.cpu_us / traced.cpu_us * 100.0);
        self.user_percent_of_core.push(cpu.user);
        self.system_percent_of_core.push(cpu.system);
        format!(
            "{:>11.0} {:>11.0} {kept:>6.1}% {:>6.1} µs {:>6.1} µs {:>6.2}% {:>6.2}%",
            untraced.per_second, traced.per_second, untraced.cpu_us, traced.cpu_us, cpu.user, cpu.system
        )
    }

    fn summary(&self, name: &str) -> Result<Value> {
        println!(
            "{name:<16} keeps {:.1} % of {:.0} connections/s; takes {:.2} % of a core in user space, {:.2} % in the kernel",
            self.kept_percent.median()?,
            self.untraced_per_second.median()?.value,
            // A tick is half a percent of a run of two seconds.
            self.user_percent_of_core.mean(),
            self.system_percent_of_core.mean()
        );
        println!(
            "{:<16} adds {:.1} µs of processor time to a connection; by that alone it keeps {:.1} %",
            "",
            self.added_cpu_us.median()?,
            self.kept_percent_by_cpu.median()?
        );
        Ok(json!({
            "way": name,
            "kept_percent": self.kept_percent.to_json()?,
            "untraced_per_second": self.untraced_per_second.to_json()?,
            "traced_per_second": self.traced_per_second.to_json()?,
            "added_cpu_us": self.added_cpu_us.to_json()?,
            "kept_percent_by_cpu": self.kept_percent_by_cpu.to_json()?,
            "user_percent_of_core": self.user_percent_of_core.to_json()?,
            "system_percent_of_core": self.system_percent_of_core.to_json()?,
        }))
    }
}

/// What a watcher itself took during a run, in percent of one core.
#[derive(Clone, Copy)]
pub struct CpuShare {
    /// In user space.
    pub user: f64,
    /// In the kernel.
    pub system: f64,
}

/// A run of the load beside a watcher, and what the watcher took.
fn run_beside(mut watcher: Running, span: Duration) -> Result<(Run, CpuShare)> {
    let (before, begun) = (watcher.cpu()?, Instant::now());
    let run = load(span)?;
    watcher.still_runs()?;
    let Cpu { user, system } = watcher.cpu()? - before;
    let percent = 100.0 / begun.elapsed().as_secs_f64();
    Ok((run, CpuShare { user: user.as_secs_f64() * percent, system: system.as_secs_f64() * percent }))
}

/// One run of the load.
pub fn load(span: Duration) -> Result<Run> {
    let report = load::run("churn", &["--seconds", &span.as_secs_f64().to_string()])?;
    let failed = report.figure("failed")?;
    if failed > 0.0 {
        eprintln!("{failed} connections failed in the run that follows");
    }
    let connections = report.figure("connections")?;
    let cpu_us = report.figure("cpu_seconds")? * 1e6 / connections;
    Ok(Run { connections, per_second: report.figure("connections_per_second")?, cpu_us })
}
