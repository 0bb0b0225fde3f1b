//! `bench capture`: what one stack capture costs by its number of frames, of a program with frame pointers.
//!
//! Method: the kernel keeps the run times of leaktrace's programs while a program connects again and again, exactly that many
//! frames deep. The run time of the hook on connect, for one connect, with stacks less the same without, is the capture: walk, hash
//! and the search for its call site. What the kernel's clock takes is in both and cancels out.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::bpf::RunTimes;
use super::options::Pairs;
use super::series::Series;
use super::tracer::Subject;
use super::{load, turns};

/// The program that sees a connect, by kind of hook.
const HOOKS: [&str; 3] = ["fe_connect", "kp_connect", "tp_state"];

/// What can be chosen.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    pairs: Pairs,
    /// Frames on the stack, from the one that enters the kernel to the thread's first
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(2..=100))]
    frames: u64,
}

/// Measures.
pub fn measure(subject: &Subject, options: &Options) -> Result<Value> {
    load::build(&["deep"])?;
    let (frames, seconds) = (options.frames.to_string(), options.pairs.span().as_secs_f64().to_string());
    let hook_ns = |more: &[&str]| -> Result<f64> {
        let tracer = subject.start("top", &[more, &["--interval", "1h"]].concat())?.running;
        let connects = {
            let _run_times = RunTimes::keep()?;
            load::run("deep", &["--frames", &frames, "--seconds", &seconds])?.figure("connects")?
        };
        let programs = tracer.programs()?;
        let hook = programs.iter().find(|program| HOOKS.contains(&program.name.as_str()) && program.runs > 0);
        Ok(hook.context("leaktrace's hook on connect did not run")?.run_ns as f64 / connects)
    };
    let (mut with, mut without, mut capture) = (Series::default(), Series::default(), Series::default());
    for round in 0..options.pairs.count() {
        let (stacks, none) = turns::pair(round, || hook_ns(&[]), || hook_ns(&["--no-stacks"]))?;
        with.push(stacks);
        without.push(none);
        capture.push(stacks - none);
    }
    println!("hook on connect, with stacks      {:.0} ns a connect", with.median()?);
    println!("hook on connect, without          {:.0} ns a connect", without.median()?);
    println!("so the capture of {frames:>3} frames takes {:.0} ns", capture.median()?);
    Ok(json!({
        "frames": options.frames, "capture_ns": capture.to_json()?,
        "hook_with_stacks_ns": with.to_json()?, "hook_without_stacks_ns": without.to_json()?,
    }))
}
