//! What a watcher and its caller say to each other, and how much a look shows. Plain data.

use leaktrace_kernel::StartError;
use leaktrace_model::{HookKind, Limits, Snapshot, format_counted};
use leaktrace_output::clean;
use leaktrace_recording::WriteError;
use std::time::Duration;

/// What a watcher may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Take a last sample with everything in it, and end.
    Finish(Detail),
    /// The same once the tree that is followed has ended, at the latest after this long.
    FinishAlone(Detail, Duration),
    /// Judge by these from the next look on.
    SetLimits(Limits),
    /// End without one.
    Stop,
}

/// What a watcher tells.
#[derive(Debug)]
pub enum Update {
    /// Hooks of this kind are attached, the first sample is on its way.
    Started(HookKind),
    /// Sockets that were open before are being taken in, which takes a while on a large host.
    Adopting {
        /// Sockets so far.
        done: u64,
        /// About how many there are, where known; equal to `done` at the end.
        total: Option<u64>,
    },
    /// A look that was asked for by the interval. Left out while too much that was told before has not been taken.
    Snapshot(Box<Snapshot>),
    /// The look that [`Control::Finish`] asked for; nothing follows.
    Last(Box<Snapshot>),
    /// It could not start or go on; nothing follows.
    Failed(WatchError),
}

/// What happens at every interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Each {
    /// A snapshot is handed out.
    Show(Detail),
    /// Histories are kept, nothing is handed out.
    Remember,
}

/// How much of a host a look shows one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Sockets that are suspect or worse.
    Suspects,
    /// Sockets with any verdict; on a host with many, those that are suspect or worse.
    Bearable,
    /// Sockets with any verdict.
    Flagged,
    /// Every socket.
    All,
}

/// Why a watch could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The kernel.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The recording that was asked for.
    #[error("{}{}", clean(&.0.to_string()), .0.samples().map(kept).unwrap_or_default())]
    Record(WriteError),
}

impl From<WriteError> for WatchError {
    fn from(error: WriteError) -> Self {
        Self::Record(error)
    }
}

/// What there is of a recording that could not be written on.
fn kept(samples: u64) -> String {
    match samples {
        0 => "; nothing was recorded: choose another place with -o".to_owned(),
        _ => format!("; the recording ends after {}, which can be replayed", format_counted(samples, "sample")),
    }
}
