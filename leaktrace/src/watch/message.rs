//! The messages between a watcher and its caller, and which sockets a sample shows one by one. Plain data.

use leaktrace_kernel::StartError;
use leaktrace_model::{HookKind, Limits, Snapshot, format_counted};
use leaktrace_output::{OutputError, clean};
use leaktrace_recording::WriteError;
use std::time::Duration;

/// A message to a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// Take a last sample with everything in it, then end.
    Finish(Detail),
    /// The same once the followed tree has ended, at the latest after this long.
    FinishAlone(Detail, Duration),
    /// Judge by these thresholds from the next sample on.
    SetLimits(Limits),
    /// End without a last sample.
    Stop,
}

/// A message from a watcher.
#[derive(Debug)]
pub(crate) enum Update {
    /// Hooks of this kind are attached, and the first sample is being taken.
    Started(HookKind),
    /// Sockets that were open before the start are being adopted, which takes a while on a large host.
    Adopting {
        /// Sockets so far.
        done: u64,
        /// About how many there are, if known; equal to `done` at the end.
        total: Option<u64>,
    },
    /// The snapshot of an interval. Dropped while too many earlier messages wait to be received.
    Snapshot(Box<Snapshot>),
    /// The snapshot that [`Control::Finish`] asked for; nothing follows.
    Last(Box<Snapshot>),
    /// The watch could not start or go on; nothing follows.
    Failed(WatchError),
}

/// What the watcher does at every interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Each {
    /// Hands out a snapshot.
    Show(Detail),
    /// Keeps histories, and hands out nothing.
    Remember,
}

/// Which sockets a sample shows one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Sockets that are suspect or worse.
    Suspects,
    /// Sockets with any verdict; on a host with many open sockets, those that are suspect or worse.
    Adaptive,
    /// Sockets with any verdict.
    Flagged,
    /// Every socket.
    All,
}

/// Why a watch could not start or go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchError {
    /// The kernel side failed.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The file of the requested recording could not be made.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The requested recording could not be written.
    #[error("{}{}", clean(&.0.to_string()), .0.samples().map(kept).unwrap_or_default())]
    Record(WriteError),
}

impl From<WriteError> for WatchError {
    fn from(error: WriteError) -> Self {
        Self::Record(error)
    }
}

/// Says how much of a recording there is after a write failed.
fn kept(samples: u64) -> String {
    match samples {
        0 => "; nothing was recorded: choose another place with -o".to_owned(),
        _ => format!("; the recording ends after {}, which can be replayed", format_counted(samples, "sample")),
    }
}
