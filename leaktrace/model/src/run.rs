//! What only a report of `leaktrace run` has: the command, its processes, and what their exit closed.

use crate::{Socket, VerdictCounts};
use serde::Serialize;

/// What became of a command that was run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Run {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Its exit status as a shell gives it: 128 and the signal when one killed it.
    pub exit_status: Option<u32>,
    /// The signal that killed it.
    pub signal: Option<u32>,
    /// Processes of its tree, including the command itself.
    pub processes_total: u64,
    /// Those that still run.
    pub processes_running: u64,
    /// Those that opened sockets, left some open or still run; those that left most open come first.
    pub processes: Vec<RunProcess>,
    /// Sockets that nothing but the exit of their process closed, and that match the filters.
    pub left_open_total: u64,
    /// Of those, sockets that were only counted, because too many came at once.
    pub left_open_lost: u64,
    /// The other ones, as they were at that moment.
    pub left_open: Vec<LeftOpen>,
    /// How many sockets had each verdict at some time while open.
    pub verdicts: VerdictCounts,
    /// Those sockets, as they were when they last got a new verdict, with every verdict they ever had.
    pub flagged: Vec<Socket>,
}

/// One process of the tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunProcess {
    /// Process id.
    pub pid: u32,
    /// The process that forked it.
    pub parent: u32,
    /// Name.
    pub comm: String,
    /// Executable.
    pub exe: Option<String>,
    /// When it was forked, seconds after the start of the window.
    pub started_s: f64,
    /// When it exited; `None` while it runs.
    pub exited_s: Option<f64>,
    /// Its exit status as a shell gives it.
    pub exit_status: Option<u32>,
    /// The signal that killed it.
    pub signal: Option<u32>,
    /// Sockets that nothing but its exit closed.
    pub left_open: u64,
    /// TCP connections that it holds, where it still runs.
    pub open: Option<u64>,
}

/// A socket that nothing but the exit of a process closed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LeftOpen {
    /// The process that exited, which was the last to hold it.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// The signal that killed it. A killed process has no chance to close anything.
    pub signal: Option<u32>,
    /// When, seconds after the start of the window.
    pub at_s: f64,
    /// The socket at that moment.
    pub socket: Socket,
}

impl Run {
    /// Sockets that were leaked: left open by a process that was not killed.
    pub fn leaked(&self) -> u64 {
        self.left_open.iter().filter(|left| left.signal.is_none()).count() as u64 + self.left_open_lost
    }
}
