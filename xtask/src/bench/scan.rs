//! `bench scan`: a sampling pass by number of sockets beside `ss` over the same, and the pass over their holders.
//!
//! leaktrace's figures are what its report says of its last pass over known sockets, and of its last walk over the kernel's
//! tables, which is one pass in ten; `ss` is measured from start to end, writing to /dev/null. Once no
//! socket has a verdict, once every one has: the first is the rule, the second the worst. A busy machine lengthens both, and leaves
//! their processor time nearly as it is. Beside them what the kernel takes to walk over its sockets with a program that does nothing,
//! and with one that only looks each of them up in a table: no walk that keeps something about sockets can be faster.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::floor::{Step, Walk};
use super::load::{self, Crowd};
use super::options::{MOODS, Runs, Sizes};
use super::process::wait_with_cpu;
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

/// The forms of `ss` that show what leaktrace looks at: sockets, and sockets with what TCP knows of each.
const SS: [&str; 2] = ["-tn", "-tni"];

/// One pass in this number is a walk, as by default where a walk takes more than 10 ms.
const ONE_IN: u32 = 10;

/// The first sample, which adopts the sockets, is followed by a pass, and the last sample is a walk: a report has passes over
/// known sockets unless every one is a walk.
fn watch(sockets: u64, one_in: u32) -> Vec<String> {
    let milliseconds = 1500 + sockets / 200;
    let words = ["--interval", "1s", "--cpu-budget", "0"].map(String::from);
    let given = [format!("--duration={milliseconds}ms"), format!("--walk-every={one_in}")];
    [&words[..], &given].concat()
}

/// What was measured, in milliseconds.
#[derive(Default)]
struct Times {
    wall: Series,
    cpu: Series,
}

/// One of these, in milliseconds.
#[derive(Clone, Copy, Default)]
struct Time {
    wall: f64,
    cpu: f64,
}

/// Measures.
pub fn measure(subject: &Subject, options: &Options) -> Result<Value> {
    load::build(&["crowd"])?;
    let sizes = options.sizes.each().map(|size| measure_size(subject, size, options.runs.count()));
    Ok(json!({ "sizes": sizes.collect::<Result<Vec<Value>>>()? }))
}

fn measure_size(subject: &Subject, size: u64, runs: usize) -> Result<Value> {
    let mut crowd = Crowd::open(size)?.context("no sockets to scan")?;
    let walks = [Walk::new(Step::Nothing)?, Walk::new(Step::LookUp)?];
    // Fills the table.
    walks[1].walk()?;
    let mut floors: [Times; 2] = Default::default();
    let mut passes: [Times; 2] = Default::default();
    let (mut own_walks, mut mean_cpu) = (Times::default(), Series::default());
    let mut ss: [Times; 2] = Default::default();
    let mut holders_cpu = Series::default();
    let mut times_as_fast = Times::default();
    for round in 0..runs {
        let (mut pass, mut other) = (Time::default(), Time::default());
        for (walk, times) in walks.iter().zip(&mut floors) {
            let (wall, cpu) = walk.walk()?;
            times.push(Time { wall: wall.as_secs_f64() * 1e3, cpu: cpu.as_secs_f64() * 1e3 });
        }
        for place in turns::order(round, MOODS.len() + SS.len()) {
            if let Some((mood, times)) = MOODS.iter().zip(&mut passes).nth(place) {
                let (time, holders) = run_passes(subject, mood.options, crowd.sockets, ONE_IN)?;
                times.push(time);
                holders_cpu.push(holders);
                if place == 0 {
                    pass = time;
                    let (walk, _) = run_passes(subject, mood.options, crowd.sockets, 1)?;
                    mean_cpu.push(time.cpu + (walk.cpu - time.cpu) / f64::from(ONE_IN));
                    own_walks.push(walk);
                }
            } else {
                let form = place - MOODS.len();
                let time = run_ss(SS[form])?;
                ss[form].push(time);
                other = if form == 0 { time } else { other };
            }
        }
        crowd.still_there()?;
        times_as_fast.push(Time { wall: other.wall / pass.wall, cpu: other.cpu / pass.cpu });
    }
    println!("{} sockets", crowd.sockets);
    let names = MOODS.iter().map(|mood| format!("pass, {}", mood.name));
    let names = names.chain(SS.iter().map(|form| format!("ss {form}")));
    let names = names.chain(["empty walk", "walk with look-up", "leaktrace's walk"].map(str::to_owned));
    let mut ways = Vec::new();
    for (name, times) in names.zip(passes.iter().chain(&ss).chain(&floors).chain([&own_walks])) {
        println!("  {name:<20} {:.1} ms, {:.1} ms of processor time", times.wall.median()?, times.cpu.median()?);
        ways.push(json!({ "way": name, "ms": times.wall.to_json()?, "cpu_ms": times.cpu.to_json()? }));
    }
    println!("  {:<20} {:.1} ms of processor time, one in {ONE_IN} a walk", "mean of passes", mean_cpu.median()?);
    println!("  {:<20} {:.1} ms of processor time", "holders pass", holders_cpu.median()?);
    let Times { wall, cpu } = times_as_fast;
    println!(
        "  the pass, {}, is {:.1} times as fast as ss -tn, {:.1} times by processor time",
        MOODS[0].name,
        wall.median()?,
        cpu.median()?
    );
    Ok(json!({
        "sockets": crowd.sockets, "ways": ways,
        "mean_pass_cpu_ms": mean_cpu.to_json()?, "holders_pass_cpu_ms": holders_cpu.to_json()?,
        "times_as_fast_as_ss_tn": wall.to_json()?, "times_as_fast_as_ss_tn_by_cpu": cpu.to_json()?,
    }))
}

impl Times {
    fn push(&mut self, time: Time) {
        self.wall.push(time.wall);
        self.cpu.push(time.cpu);
    }
}

/// What leaktrace reports of its last pass where one in `walk_every` is a walk, and the processor time of its last holders pass in
/// milliseconds.
fn run_passes(subject: &Subject, options: &[&str], sockets: u64, one_in: u32) -> Result<(Time, f64)> {
    let watch = watch(sockets, one_in);
    let words: Vec<&str> = watch.iter().map(String::as_str).chain(options.iter().copied()).collect();
    let report = subject.report(&words)?;
    let open = report["totals"]["open"].as_u64().unwrap_or_default();
    ensure!(open >= sockets, "leaktrace sees {open} sockets, and {sockets} are open: give it no filters");
    let milliseconds = |name: &str| {
        let seconds = report["health"][name].as_f64();
        Ok::<_, anyhow::Error>(
            seconds.with_context(|| format!("the report has no {name}: this leaktrace is too old"))? * 1e3,
        )
    };
    let time = Time { wall: milliseconds("pass_s")?, cpu: milliseconds("pass_cpu_s")? };
    Ok((time, milliseconds("holders_pass_cpu_s")?))
}

fn run_ss(form: &str) -> Result<Time> {
    let begun = Instant::now();
    let child =
        Command::new("ss").arg(form).stdout(Stdio::null()).spawn().context("cannot start ss (package iproute2)")?;
    let (status, cpu) = wait_with_cpu(child)?;
    let wall = begun.elapsed().as_secs_f64() * 1e3;
    ensure!(status.success(), "ss {form} failed: {status}");
    Ok(Time { wall, cpu: cpu.as_secs_f64() * 1e3 })
}
