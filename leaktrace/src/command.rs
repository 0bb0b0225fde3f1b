//! The commands, one file each. Each runs with a checked configuration.

mod as_caller;
mod diff;
mod doctor;
mod effects;
mod kill;
mod live;
mod on_leak;
mod owner;
mod play;
mod print;
mod record;
mod replay;
mod report;
mod run;
mod top;

pub(crate) use diff::diff;
pub(crate) use doctor::doctor;
pub(crate) use kill::kill;
pub(crate) use live::live;
pub(crate) use record::record;
pub(crate) use report::report;
pub(crate) use run::run;
pub(crate) use top::top;

use tokio::signal::unix::{SignalKind, signal};

/// How a command ended, as its exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done.
    Done,
    /// Something matched `--fail-on`.
    Found,
    /// The host cannot do it; the reason has been printed.
    Unable,
    /// The status of the command that was run, or the status that a shell gives for one that cannot run.
    Status(u8),
}

impl From<Outcome> for std::process::ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Found => 1,
            Outcome::Unable => 2,
            Outcome::Status(status) => status,
        })
    }
}

/// Waits for a signal that asks leaktrace to end: SIGINT, SIGTERM or SIGHUP.
async fn asked_to_end() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
