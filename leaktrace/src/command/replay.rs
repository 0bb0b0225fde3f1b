//! Replays a recording from its beginning, for `report` and for `top` without a terminal.

use super::{
    Outcome, asked_to_end,
    print::{Reader, print},
};
use crate::{
    cli::ReportConfig,
    config::{ReplayConfig, WatchConfig},
    watch::{Replay, Travel},
};
use leaktrace_model::{Degradation, Snapshot};
use leaktrace_output::{Format, PlainTable, clean};
use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// The snapshot that a live watch would have given at the end of the recording, or of the requested part.
pub(super) async fn report(recording: &ReplayConfig, config: &ReportConfig) -> anyhow::Result<Snapshot> {
    let mut replay = Replay::open(recording, &config.watch.filter, Travel::Forward)?;
    let length = u64::try_from(config.duration.as_nanos()).unwrap_or(u64::MAX);
    let end = replay.started_ns().saturating_add(length);
    let mut asked = std::pin::pin!(asked_to_end());
    let mut progress = Progress::new();
    // A report covers at least one sample, as it does live.
    while replay.next_ns().is_some_and(|at| at <= end || replay.taken() == 0) {
        replay.step();
        progress.show(replay.taken());
        if !config.until.is_empty() && replay.snapshot().has_any(config.until) {
            break;
        }
        tokio::select! {
            biased;
            asked = &mut asked => {
                asked?;
                break;
            }
            () = tokio::task::yield_now() => {}
        }
    }
    progress.clear();
    if replay.taken() == 0 {
        let path = recording.path.to_string_lossy();
        anyhow::bail!("{} holds not one whole sample: there is nothing to report", clean(&path));
    }
    warn(&replay);
    let mut snapshot = replay.snapshot();
    if config.all && !replay.shows_all() {
        snapshot.health.degraded.push(Degradation::AllNotRecorded);
        snapshot.health.degraded.sort();
    }
    Ok(snapshot)
}

/// Prints the plain table of every sample, without waiting.
///
/// # Errors
/// When the recording cannot be read, or stdout cannot be written.
pub(super) async fn tables(recording: &ReplayConfig, config: &WatchConfig) -> anyhow::Result<Outcome> {
    let mut replay = Replay::open(recording, &config.filter, Travel::Forward)?;
    let mut asked = std::pin::pin!(asked_to_end());
    while replay.step() {
        let mut text = Vec::new();
        PlainTable::default().write(&replay.snapshot(), &mut text)?;
        tokio::select! {
            asked = &mut asked => {
                asked?;
                return Ok(Outcome::Done);
            }
            reader = print(text) => {
                if reader? == Reader::Gone {
                    return Ok(Outcome::Done);
                }
            }
        }
    }
    warn(&replay);
    Ok(Outcome::Done)
}

/// Says that `--on-leak` is not run for a recording, because its leaks are over. Silent without `--on-leak`.
pub(super) fn leave_out(on_leak: Option<&str>) {
    if on_leak.is_some() {
        // A closed stderr loses only this message.
        let _ = writeln!(io::stderr(), "leaktrace: a recording is no news: --on-leak is not run");
    }
}

/// Prints what is wrong with the recording.
fn warn(replay: &Replay) {
    if let Some(trouble) = replay.trouble() {
        // A closed stderr loses only this message.
        let _ = writeln!(io::stderr(), "leaktrace: {}", trouble.reason());
    }
}

/// A progress line on a terminal while a long recording is played.
struct Progress {
    began: Instant,
    last_shown: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    const PATIENCE: Duration = Duration::from_secs(1);
    const REST: Duration = Duration::from_millis(250);

    fn new() -> Self {
        Self { began: Instant::now(), last_shown: None, is_terminal: io::stderr().is_terminal() }
    }

    fn show(&mut self, samples: u64) {
        let now = Instant::now();
        let is_due =
            self.last_shown.map_or(now - self.began >= Self::PATIENCE, |last_shown| now - last_shown >= Self::REST);
        if self.is_terminal && is_due {
            self.last_shown = Some(now);
            let _ = write!(io::stderr(), "\rleaktrace: replaying… {samples} samples\x1b[K");
        }
    }

    fn clear(&self) {
        if self.last_shown.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
