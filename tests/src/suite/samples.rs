//! Counts the samples that a running leaktrace takes, from outside: a check that needs a number of samples waits for them, and not
//! for a time in which a slow machine may take fewer.
//!
//! The thread `sampler` sleeps between two samples, for half of the interval at least. A sample is counted when the thread sleeps
//! again after it ran. What is not seen makes the count too small, never too large, except where a sample itself sleeps for long.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The name of the thread, which is part of no contract: where it changes, [`Samples::of`] fails.
const THREAD: &str = "sampler";

/// Time between two readings of the thread's state.
const EVERY: Duration = Duration::from_millis(20);

/// The samples of one process.
#[derive(Debug)]
pub struct Samples {
    status: PathBuf,
    rests: Rests,
    taken: usize,
}

impl Samples {
    /// Begins to count the samples of a leaktrace that takes one each `interval`.
    ///
    /// # Errors
    /// When it has no thread that takes samples.
    pub fn of(pid: u32, interval: Duration) -> Result<Self> {
        let tasks = Path::new("/proc").join(pid.to_string()).join("task");
        let is_sampler = |task: &PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == THREAD);
        let threads = fs::read_dir(&tasks).with_context(|| format!("cannot read {}", tasks.display()))?;
        let thread = threads.flatten().map(|thread| thread.path()).find(is_sampler);
        let thread = thread.with_context(|| format!("process {pid} has no thread {THREAD}"))?;
        Ok(Self { status: thread.join("status"), rests: Rests::new(interval / 4), taken: 0 })
    }

    /// Waits until `more` further samples were taken and `least` is over.
    ///
    /// # Errors
    /// When they were not taken within `longest`, or the process has ended.
    pub fn wait(&mut self, more: usize, least: Duration, longest: Duration) -> Result<()> {
        let (start, first) = (Instant::now(), self.taken);
        while self.taken < first + more || start.elapsed() < least {
            if start.elapsed() > longest {
                bail!("leaktrace took {} samples in {} s, not {more}", self.taken - first, longest.as_secs());
            }
            std::thread::sleep(EVERY);
            let status = fs::read_to_string(&self.status).context("leaktrace has ended")?;
            if self.rests.see(Look::parse(&status).context("no state of a thread")?, Instant::now()) {
                self.taken += 1;
            }
        }
        Ok(())
    }
}

/// What /proc says of a thread at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    asleep: bool,
    /// How often it was switched to another thread.
    switches: u64,
}

impl Look {
    fn parse(status: &str) -> Option<Self> {
        let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let count = |name: &str| value(name)?.parse::<u64>().ok();
        let switches = count("voluntary_ctxt_switches:")? + count("nonvoluntary_ctxt_switches:")?;
        Some(Self { asleep: value("State:")?.starts_with('S'), switches })
    }
}

/// Tells rests from short waits: a rest is sleep without a switch for at least `shortest`.
#[derive(Debug)]
struct Rests {
    shortest: Duration,
    /// The last reading, since when it is the same, and whether that rest was counted.
    last: Option<(Look, Instant, bool)>,
}

impl Rests {
    fn new(shortest: Duration) -> Self {
        Self { shortest, last: None }
    }

    /// Takes in a reading; true when it shows a new rest.
    fn see(&mut self, look: Look, now: Instant) -> bool {
        let (since, counted) = match self.last {
            Some((known, since, counted)) if known == look => (since, counted),
            _ => (now, false),
        };
        let begins = look.asleep && !counted && now.duration_since(since) >= self.shortest;
        self.last = Some((look, since, counted || begins));
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_counted_once_and_a_short_wait_is_none() {
        let mut rests = Rests::new(Duration::from_millis(100));
        let start = Instant::now();
        let mut see = |ms, asleep, switches| rests.see(Look { asleep, switches }, start + Duration::from_millis(ms));
        let rest = [see(0, true, 1), see(60, true, 1), see(120, true, 1), see(180, true, 1)];
        assert_eq!(rest, [false, false, true, false]);
        // Runs, waits shortly, waits for the processor for long, and rests again.
        let sample = [see(200, false, 1), see(220, true, 2), see(260, true, 3), see(270, false, 3), see(500, false, 3)];
        assert_eq!(sample, [false; 5]);
        assert_eq!([see(510, true, 4), see(620, true, 4)], [false, true]);
    }

    #[test]
    fn the_state_of_a_thread_is_read() -> Result<()> {
        let status =
            "Name:\tsampler\nState:\tS (sleeping)\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t2\n";
        assert_eq!(Look::parse(status), Some(Look { asleep: true, switches: 9 }));
        assert!(Look::parse(&fs::read_to_string("/proc/thread-self/status")?).is_some());
        assert_eq!(Look::parse("Name:\tsampler\n"), None);
        Ok(())
    }

    #[test]
    fn a_process_that_takes_no_samples_is_an_error() {
        assert!(Samples::of(std::process::id(), Duration::from_secs(1)).is_err());
    }
}
