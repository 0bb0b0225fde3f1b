//! What comes into the live view and what it asks for: messages, updates from the source, effects.
//!
//! Plain data. The caller carries effects out, not on the thread that reads keys; results return as an [`Update`].

use crate::rows::export_rows::Shown;
use crate::rows::snapshot_index::SnapshotIndex;
use crossterm::event::{KeyEvent, MouseEvent};
use leaktrace_model::{Limits, Snapshot, SocketId};
use leaktrace_output::ReportFormat;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// One thing that happened to the live view.
#[derive(Clone, Debug)]
pub enum Msg {
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse was used.
    Mouse(MouseEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal has this many columns and rows now.
    Resize(u16, u16),
    /// A snapshot with its index, which another thread has made.
    Snapshot(Arc<Snapshot>, Arc<SnapshotIndex>),
    /// Any other update. [`Update::Snapshot`] belongs in [`Msg::Snapshot`] and is ignored here.
    Update(Update),
}

/// A message from the source of snapshots or from the handler of effects.
#[derive(Clone, Debug)]
pub enum Update {
    /// What is known now.
    Snapshot(Arc<Snapshot>),
    /// Sockets that were open before the tracer are being adopted. `done == total` ends the progress line.
    Adopting {
        /// Sockets so far.
        done: u64,
        /// About how many there are, where known.
        total: Option<u64>,
    },
    /// Where a replay stands.
    Replay(ReplayState),
    /// The answer to [`Effect::ReverseLookup`]; `None` where the address has no name.
    PeerName {
        /// The address as asked.
        address: IpAddr,
        /// Its name.
        name: Option<String>,
    },
    /// A notice, such as the result of an effect.
    Notice(Notice),
}

/// One line for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether it went well.
    pub kind: NoticeKind,
    /// One sentence.
    pub text: String,
}

/// Whether what a notice reports went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// It went well.
    Done,
    /// It failed.
    Failed,
}

/// Where a replay stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplayState {
    /// The sample that is shown, from 0.
    pub index: u64,
    /// How many there are, where known.
    pub count: Option<u64>,
    /// Speed, as a multiple of real time.
    pub speed: f64,
    /// Whether it runs; at its end it is paused.
    pub flow: Flow,
}

/// Whether time goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// Time goes on.
    #[default]
    Running,
    /// Time stands still.
    Paused,
}

/// What the live view asks of its caller.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// End.
    Quit,
    /// Restore the terminal and stop the process until SIGCONT. The runner does this itself.
    Suspend,
    /// Capture the mouse or leave it to the terminal. The runner does this itself.
    CaptureMouse(MouseCapture),
    /// Draw everything anew. The runner does this itself.
    Redraw,
    /// Write what is shown to a new file: [`Shown::to_snapshot`] gives the report. An existing file is not
    /// overwritten. Answer with [`Update::Notice`].
    Export {
        /// In this format.
        format: ReportFormat,
        /// To this file.
        path: PathBuf,
        /// What to write.
        shown: Shown,
    },
    /// Close these sockets with SOCK_DESTROY. They were named and confirmed. Answer with [`Update::Notice`].
    KillSockets {
        /// The sockets.
        sockets: Vec<SocketId>,
    },
    /// Judge by these thresholds from now on.
    SetThresholds(Limits),
    /// The view was paused or resumed. A replay must do the same; a live source may ignore this.
    SetFlow(Flow),
    /// Resolve the frames of these call sites: they are on the screen. The answer is the next snapshot, or the
    /// current one again with its frames resolved, which is shown even while the view is paused.
    ResolveSymbols {
        /// [`leaktrace_model::Callsite::id`]
        callsites: Vec<u64>,
    },
    /// Look up the names of these addresses; each comes once. Answer each with [`Update::PeerName`].
    ReverseLookup {
        /// The addresses.
        addresses: Vec<IpAddr>,
    },
    /// Go to a sample of the recording and show it.
    ReplaySeek {
        /// Which, from 0.
        index: u64,
        /// Whether the recording goes on from there.
        flow: Flow,
    },
    /// Play at this many times real time.
    ReplaySpeed(f64),
}

/// Whether the live view captures the mouse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MouseCapture {
    /// Clicks select and sort.
    #[default]
    Captured,
    /// The terminal selects text.
    Released,
}
