//! `leaktrace record`: watches, and writes every sample into a recording.

use super::{Outcome, asked_to_end};
use crate::{
    cli::RecordConfig,
    watch::{Control, Detail, RecordTo, Update, Watch},
};
use leaktrace_model::{HookKind, Snapshot, format_counted, format_duration, format_size};
use leaktrace_output::{Destination, check_output, clean, let_signals_end, write_report};
use leaktrace_recording::Progress;
use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Records until the time is over or a signal comes.
///
/// # Errors
/// When the host cannot do it, or the recording or the report cannot be written. What was recorded until then stays.
pub(crate) async fn record(config: RecordConfig) -> anyhow::Result<Outcome> {
    // Checks both paths first: a typo must not cost an hour of recording.
    check_output(&Destination::file(&config.output))?;
    let report = config.report.as_deref().map(|path| Destination::from_option(Some(path)).with_mode(config.mode));
    if let Some(destination) = &report {
        check_output(destination)?;
    }
    let progress = Progress::default();
    let mut snapshot = watch(&config, &progress).await?;
    if let Some(destination) = &report {
        snapshot.sockets.retain(|socket| !socket.observed.verdicts.is_empty());
        write_report(&snapshot, config.format, destination)?;
    }
    Ok(Outcome::Done)
}

async fn watch(config: &RecordConfig, progress: &Progress) -> anyhow::Result<Snapshot> {
    let to = RecordTo { path: config.output.clone(), mode: config.mode, progress: progress.clone() };
    let mut watch = Watch::start_recording(config.watch.clone(), to);
    let mut asked = std::pin::pin!(asked_to_end());
    // The watch begins when the hooks are attached, not when the program starts.
    let mut end = std::pin::pin!(tokio::time::sleep(FAR_AWAY));
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut line = Line { began: None, is_terminal: io::stderr().is_terminal() };
    let mut finishing = false;
    loop {
        tokio::select! {
            () = &mut end, if !finishing => {
                finishing = true;
                watch.send(Control::Finish(Detail::Flagged));
            }
            asked = &mut asked, if !finishing => {
                asked?;
                finishing = true;
                if !config.output.is_file() {
                    // The reader of a pipe may have stopped reading, and the last sample then never ends: a second ^C does.
                    let_signals_end()?;
                }
                watch.send(Control::Finish(Detail::Flagged));
            }
            _ = ticks.tick() => line.show(progress),
            update = watch.updates_mut().recv() => match update {
                Some(Update::Last(snapshot)) => {
                    line.end(progress, &config.output);
                    return Ok(*snapshot);
                }
                Some(Update::Failed(error)) => {
                    line.clear();
                    return Err(error.into());
                }
                Some(Update::Started(hooks)) => {
                    announce(hooks, config);
                    line.began = Some(Instant::now());
                    if let Some(duration) = config.duration {
                        end.as_mut().reset(Instant::now() + duration);
                    }
                }
                Some(Update::Snapshot(_) | Update::Adopting { .. }) => {}
                None => anyhow::bail!("the sampler ended without a word; please report this"),
            },
        }
    }
}

/// Longer than any recording.
const FAR_AWAY: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Prints that the recording has begun and how long it takes.
fn announce(hooks: HookKind, config: &RecordConfig) {
    let span = match config.duration {
        Some(duration) => format!("for {}; ^C ends it early", format_duration(duration.as_secs_f64())),
        None => "until ^C".to_owned(),
    };
    say(&format!("watching with {} hooks, recording to {} {span}", hooks.name(), shown(&config.output)));
}

fn shown(path: &Path) -> String {
    clean(&path.to_string_lossy()).into_owned()
}

fn say(words: &str) {
    // A closed stderr loses only this message.
    let _ = writeln!(io::stderr(), "leaktrace: {words}");
}

/// Progress of the recording: kept up to date on a terminal, printed at the end everywhere.
struct Line {
    began: Option<Instant>,
    is_terminal: bool,
}

impl Line {
    fn far(&self, progress: &Progress) -> Option<(String, String)> {
        let seconds = self.began?.elapsed().as_secs_f64();
        Some((format_duration(seconds), format_size(progress.bytes())))
    }

    fn show(&self, progress: &Progress) {
        if let Some((span, size)) = self.far(progress).filter(|_| self.is_terminal) {
            let _ = write!(io::stderr(), "\rleaktrace: recording… {span}, {size}\x1b[K");
        }
    }

    fn clear(&self) {
        if self.is_terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn end(&self, progress: &Progress, path: &Path) {
        self.clear();
        if let Some((span, size)) = self.far(progress) {
            let samples = format_counted(progress.samples(), "sample");
            say(&format!(
                "recorded {span} in {samples}, {size}: look at it with leaktrace top --replay {}",
                shown(path)
            ));
        }
    }
}
