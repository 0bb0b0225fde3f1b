//! `bench bulk`: throughput of one loopback connection with leaktrace watching, between two runs without.
//!
//! The connection never rests and is the same throughout; what drifts from one second to the next is the machine. Many short
//! runs that take turns cancel that better than few long ones. Both ends share one processor, so that what is moved is what
//! that one gets done, and leaktrace runs where the kernel lets it.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::load;
use super::process::Running;
use super::series::Series;
use super::tracer::Subject;
use crate::project;

/// What can be chosen.
#[derive(clap::Args)]
pub struct Options {
    /// Runs with leaktrace, each between two without
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    pairs: u16,
    /// Seconds of one run: as many of leaktrace's passes, at its default interval, are in each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    seconds: u16,
}

/// From the first table on, so that runs begin in the middle between two passes.
const SETTLING: Duration = Duration::from_millis(500);

/// Measures.
pub fn measure(subject: &Subject, options: &Options) -> Result<Value> {
    load::build(&["bulk"])?;
    let mut transfer = {
        let _here = OneProcessor::stay()?;
        Transfer::start(options.seconds)?
    };
    transfer.run()?;
    let (mut untraced, mut traced, mut kept) = (Series::default(), Series::default(), Series::default());
    let (mut untraced_cpu, mut traced_cpu, mut cpu) = (Series::default(), Series::default(), Series::default());
    println!("{:>4}  {:>12} {:>12} {:>7} {:>12} {:>7}", "pair", "untraced", "traced", "kept", "cpu, traced", "of");
    let mut before = transfer.run()?;
    for pair in 1..=options.pairs {
        let with = {
            let mut tracer = subject.start("top", &[])?.running;
            thread::sleep(SETTLING);
            let with = transfer.run()?;
            tracer.still_runs()?;
            with
        };
        let after = transfer.run()?;
        let without = Run {
            gb_per_second: f64::midpoint(before.gb_per_second, after.gb_per_second),
            cpu_per_gb: f64::midpoint(before.cpu_per_gb, after.cpu_per_gb),
        };
        before = after;
        let percent = with.gb_per_second / without.gb_per_second * 100.0;
        let cpu_percent = with.cpu_per_gb / without.cpu_per_gb * 100.0;
        println!(
            "{pair:>4}  {:>7.2} GB/s {:>7.2} GB/s {percent:>6.1}% {:>7.3} s/GB {cpu_percent:>6.1}%",
            without.gb_per_second, with.gb_per_second, with.cpu_per_gb
        );
        untraced.push(without.gb_per_second);
        traced.push(with.gb_per_second);
        kept.push(percent);
        untraced_cpu.push(without.cpu_per_gb);
        traced_cpu.push(with.cpu_per_gb);
        cpu.push(cpu_percent);
    }
    println!();
    println!("keeps {:.1} % of {:.2} GB/s", kept.median()?, untraced.median()?.value);
    println!("takes {:.1} % of {:.3} s of processor time a GB", cpu.median()?, untraced_cpu.median()?.value);
    Ok(json!({
        "seconds_per_run": options.seconds, "kept_percent": kept.to_json()?,
        "untraced_gb_per_second": untraced.to_json()?, "traced_gb_per_second": traced.to_json()?,
        "cpu_percent": cpu.to_json()?,
        "untraced_cpu_seconds_per_gb": untraced_cpu.to_json()?, "traced_cpu_seconds_per_gb": traced_cpu.to_json()?,
    }))
}

/// Keeps this program, and what it starts meanwhile, on the last of the processors that it may use.
struct OneProcessor {
    before: libc::cpu_set_t,
}

impl OneProcessor {
    fn stay() -> Result<Self> {
        // SAFETY: zeros are the empty set.
        let mut before: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        let mut last = before;
        // SAFETY: the set is ours and as large as is said.
        let asked = unsafe { libc::sched_getaffinity(0, SET_BYTES, &raw mut before) };
        ensure!(asked == 0, "cannot ask for the processors that may be used: {}", io::Error::last_os_error());
        // SAFETY: every number is within the set.
        let is_usable = |processor: &usize| unsafe { libc::CPU_ISSET(*processor, &before) };
        let processor = (0..SET_BYTES * 8).rev().find(is_usable).context("there is no processor that may be used")?;
        // SAFETY: the number is within the set.
        unsafe { libc::CPU_SET(processor, &mut last) };
        // SAFETY: the set is as large as is said.
        let done = unsafe { libc::sched_setaffinity(0, SET_BYTES, &raw const last) };
        ensure!(done == 0, "cannot stay on one processor: {}", io::Error::last_os_error());
        Ok(Self { before })
    }
}

impl Drop for OneProcessor {
    fn drop(&mut self) {
        // SAFETY: the set is as large as is said. It was allowed before, so it is again.
        unsafe { libc::sched_setaffinity(0, SET_BYTES, &raw const self.before) };
    }
}

const SET_BYTES: usize = size_of::<libc::cpu_set_t>();

/// What was moved in one run.
#[derive(Clone, Copy)]
struct Run {
    gb_per_second: f64,
    /// Seconds of processor time, of both ends together.
    cpu_per_gb: f64,
}

/// The connection; it ends when this is dropped.
struct Transfer {
    _running: Running,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Transfer {
    fn start(seconds: u16) -> Result<Self> {
        let mut child = Command::new(project::release_program("bulk"))
            .args(["--seconds", &seconds.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start bulk")?;
        let ask = child.stdin.take().context("bulk has no input")?;
        let answers = BufReader::new(child.stdout.take().context("bulk has no output")?);
        Ok(Self { _running: Running::new(child, "bulk"), ask, answers })
    }

    fn run(&mut self) -> Result<Run> {
        self.ask.write_all(b"\n").context("bulk has ended: it says why above")?;
        let mut line = String::new();
        self.answers.read_line(&mut line).context("cannot hear from bulk")?;
        let said: Value = serde_json::from_str(&line).context("bulk printed no JSON: it says why above")?;
        let figure = |name: &str| said[name].as_f64().with_context(|| format!("bulk printed no {name}"));
        let gigabytes = figure("bytes")? / 1e9;
        Ok(Run { gb_per_second: gigabytes / figure("seconds")?, cpu_per_gb: figure("cpu_seconds")? / gigabytes })
    }
}
