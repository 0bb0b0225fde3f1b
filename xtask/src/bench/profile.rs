//! `bench profile`: which part of the load's processor time hooks take, from a sampling profile of one run.
//!
//! A share within a run holds where connections a second do not: on a machine whose speed changes from one run to the next. What it
//! does not show is what hooks make the rest of the kernel wait for, such as lines that they push out of the caches.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::floor::Floor;
use super::options::Pairs;
use super::series::Series;
use super::tracer::Subject;
use super::{load, turns};
use crate::project;
use crate::setup::{self, Purpose};

/// The program that is profiled.
const LOAD: &str = "churn";

/// What calls programs on tracepoints, and the exit path of a system call that is traced.
const CALLERS: [&str; 4] = ["bpf_trace_run", "perf_syscall_exit", "syscall_exit_work", "trace_call_bpf"];

/// Samples a second: no divisor of what a timer does.
const FREQUENCY: &str = "8999";

/// Each way to watch.
const WAYS: [Way; 5] = [
    Way::Leaktrace { name: "stacks", options: &[] },
    Way::Leaktrace { name: "no stacks", options: &["--no-stacks"] },
    Way::Floor(Floor::EmptyHooks),
    Way::Floor(Floor::PlainTracer),
    Way::Nobody,
];

enum Way {
    Leaktrace { name: &'static str, options: &'static [&'static str] },
    Floor(Floor),
    Nobody,
}

/// Of one run, in percent of the load's samples.
#[derive(Default)]
struct Shares {
    /// In programs, in what calls them, and on the way there.
    hooks: f64,
    /// In leaktrace's programs and what they call.
    programs: f64,
    /// The same, by program.
    each: BTreeMap<String, f64>,
}

#[derive(Default)]
struct Figures {
    hooks: Series,
    programs: Series,
    each: BTreeMap<String, Series>,
}

/// Measures.
pub fn measure(subject: &Subject, pairs: &Pairs) -> Result<Value> {
    setup::set_up(Purpose::Bench)?;
    load::build(&[LOAD])?;
    let data = std::env::temp_dir().join(format!("leaktrace-profile-{}.data", std::process::id()));
    // Those stand where leaktrace's tracepoint hooks are: beside another kind they would be no floor.
    let has_floor = subject.identity()?.hooks == "tracepoint";
    let ways: Vec<&Way> = WAYS.iter().filter(|way| has_floor || !matches!(way, Way::Floor(_))).collect();
    let mut figures: Vec<Figures> = ways.iter().map(|_| Figures::default()).collect();
    let measured = (0..pairs.count()).try_for_each(|round| {
        turns::order(round, ways.len()).try_for_each(|way| {
            let shares = ways[way].run(subject, pairs, &data)?;
            figures[way].add(shares);
            anyhow::Ok(())
        })
    });
    // Gone already where the first run has failed.
    let _ = std::fs::remove_file(&data);
    measured?;
    let ways =
        ways.iter().zip(&figures).map(|(way, figures)| figures.summary(way.name())).collect::<Result<Vec<_>>>()?;
    Ok(json!({ "seconds_per_run": pairs.span().as_secs_f64(), "ways": ways }))
}

impl Way {
    fn name(&self) -> &'static str {
        match self {
            Self::Leaktrace { name, .. } => name,
            Self::Floor(floor) => floor.name(),
            Self::Nobody => "nobody",
        }
    }

    fn run(&self, subject: &Subject, pairs: &Pairs, data: &Path) -> Result<Shares> {
        let (mut tracer, mut _floor) = (None, None);
        match self {
            Self::Leaktrace { options, .. } => tracer = Some(subject.start("top", options)?),
            Self::Floor(floor) => _floor = Some(floor.attach()?),
            Self::Nobody => {}
        }
        let mut record = Command::new("perf");
        record.args(["record", "--quiet", "-g", "-e", "cpu-clock", "-F", FREQUENCY, "-a", "-o"]).arg(data).arg("--");
        record.arg(project::release_program(LOAD)).args(["--seconds", &pairs.span().as_secs().to_string()]);
        let output = record.stdin(Stdio::null()).output().context("cannot start perf")?;
        ensure!(output.status.success(), "perf record failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        let programs = match &tracer {
            Some(tracer) => tracer.running.programs()?.into_iter().map(|program| program.name).collect(),
            None => HashSet::new(),
        };
        let mut script = Command::new("perf");
        script.args(["script", "-F", "comm,ip,sym", "-i"]).arg(data).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = script.spawn().context("cannot start perf")?;
        let text = child.stdout.take().context("perf script has no output")?;
        let shares = shares(BufReader::new(text), &programs)?;
        ensure!(child.wait()?.success(), "perf script failed");
        Ok(shares)
    }
}

/// Reads samples as `perf script` prints them: the name of the process, then a frame a line, leaf first, then an empty line.
fn shares(text: impl BufRead, programs: &HashSet<String>) -> Result<Shares> {
    let (mut samples, mut hooks, mut ours) = (0_u32, 0_u32, 0_u32);
    let mut each: BTreeMap<String, u32> = BTreeMap::new();
    // Of the sample that is being read.
    let (mut is_load, mut is_hook, mut program) = (None, false, None);
    for line in text.lines().chain([Ok(String::new())]) {
        let line = line?;
        let line = line.trim();
        if line.is_empty() {
            if is_load == Some(true) {
                samples += 1;
                hooks += u32::from(is_hook || program.is_some());
                if let Some(program) = program.take() {
                    ours += 1;
                    *each.entry(program).or_default() += 1;
                }
            }
            (is_load, is_hook, program) = (None, false, None);
        } else if is_load.is_none() {
            is_load = Some(line.starts_with(LOAD));
        } else if let Some((_, symbol)) = line.split_once(' ') {
            is_hook |= CALLERS.iter().any(|caller| symbol.starts_with(caller));
            // `bpf_prog_`, a tag, the name.
            let name = symbol.strip_prefix("bpf_prog_").and_then(|rest| rest.split_once('_')).map(|(_, name)| name);
            if let Some(name) = name.filter(|name| programs.contains(*name)) {
                program = Some(name.to_owned());
            }
        }
    }
    ensure!(samples > 0, "perf has no samples of {LOAD}");
    let percent = |count: u32| f64::from(count) * 100.0 / f64::from(samples);
    let each = each.into_iter().map(|(name, count)| (name, percent(count))).collect();
    Ok(Shares { hooks: percent(hooks), programs: percent(ours), each })
}

impl Figures {
    fn add(&mut self, shares: Shares) {
        self.hooks.push(shares.hooks);
        self.programs.push(shares.programs);
        for (program, percent) in shares.each {
            self.each.entry(program).or_default().push(percent);
        }
    }

    fn summary(&self, name: &str) -> Result<Value> {
        println!(
            "{name:<12} hooks take {:.2} % of the load's processor time, programs {:.2} %",
            self.hooks.median()?,
            self.programs.median()?
        );
        let mut programs = serde_json::Map::new();
        for (program, series) in &self.each {
            println!("{:<12}   {program:<15} {:.2} %", "", series.median()?);
            programs.insert(program.clone(), series.to_json()?);
        }
        Ok(json!({
            "way": name, "hooks_percent": self.hooks.to_json()?, "programs_percent": self.programs.to_json()?,
            "each_percent": programs,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: &str = "churn \n\tffff copy_from_user_nofault\n\tffff bpf_prog_0123456789abcdef_tp_state\n\tffff bpf_trace_run3\n\n\
        churn \n\tffff bpf_prog_0123456789abcdef_other\n\tffff tcp_close\n\n\
        swapper \n\tffff bpf_trace_run3\n\n\
        churn \n\tffff syscall_exit_work\n\n\
        churn \n\tffff tcp_ack\n\t  55 churn::churn\n\n";

    #[test]
    fn samples_of_the_load_are_told_apart_by_what_is_on_their_stacks() {
        let programs = HashSet::from(["tp_state".to_owned()]);
        let shares = shares(SAMPLES.as_bytes(), &programs).unwrap_or_default();
        assert_eq!((shares.hooks, shares.programs), (50.0, 25.0));
        assert_eq!(shares.each, BTreeMap::from([("tp_state".to_owned(), 25.0)]));
    }

    #[test]
    fn no_samples_are_an_error() {
        assert!(shares("swapper \n\tffff tcp_ack\n\n".as_bytes(), &HashSet::new()).is_err());
    }
}
