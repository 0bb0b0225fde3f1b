//! What one look at the kernel gives: plain data, the only input of [`leaktrace_track`]. A live kernel and a recording
//! produce the same.

use crate::{
    host::ProcessFacts,
    location::Location,
    snapshot::{Degradation, StackQuality},
};
use leaktrace_common::{
    CallsiteCounters, HolderRow, LeftRow, Losses, PassSettings, PassTotals, ProcessRow, SocketRow, TreeProcess,
};
use std::time::Duration;

/// One look.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// When, by the clock that sockets are dated with (`CLOCK_BOOTTIME`), in nanoseconds.
    pub boot_ns: u64,
    /// When, in nanoseconds since 1970.
    pub unix_ns: i64,
    /// The thresholds that the passes went by.
    pub limits: PassSettings,
    /// Sums over all sockets.
    pub totals: PassTotals,
    /// What was lost since the start.
    pub losses: Losses,
    /// Reads that could not be understood, since the start.
    pub damaged: u64,
    /// Sockets worth looking at, or all of them if asked for.
    pub sockets: Vec<SocketRow>,
    /// Counters of every call site in use, by index.
    pub callsites: Vec<(u32, CallsiteCounters)>,
    /// Stacks of call sites that are new since the last sample.
    pub stacks: Vec<CallsiteStack>,
    /// Who holds what, if this sample includes a holders pass.
    pub holders: Option<Holders>,
    /// The tree of the command that is run, where one is followed.
    pub tree: Option<TreeSample>,
    /// Processes that are new since the last sample.
    pub processes: Vec<ProcessFacts>,
    /// Sockets in other namespaces could not be seen, stacks could not be captured, and the like.
    pub degraded: Vec<Degradation>,
    /// Kernel memory of TCP on the host, in bytes.
    pub tcp_memory_bytes: Option<u64>,
    /// What the sampling itself took.
    pub cost: Cost,
}

/// The tree of a command.
#[derive(Clone, Debug, Default)]
pub struct TreeSample {
    /// Its processes by id: those that run, and those that have exited since some samples ago.
    pub processes: Vec<(u32, TreeProcess)>,
    /// Sockets that only an exit closed, since the last sample.
    pub left: Vec<LeftRow>,
}

/// What the holders pass found.
#[derive(Clone, Debug, Default)]
pub struct Holders {
    /// Descriptors of sockets that are shown.
    pub rows: Vec<HolderRow>,
    /// Processes that hold TCP connections.
    pub processes: Vec<ProcessRow>,
    /// Descriptors looked at.
    pub descriptors: u64,
}

/// The stack of a new call site, with where its frames lie.
#[derive(Clone, Debug, PartialEq)]
pub struct CallsiteStack {
    /// Index of the call site.
    pub callsite: u32,
    /// Leaf first; empty when nothing is known.
    pub locations: Vec<Location>,
    /// Whether the thread's start was reached.
    pub quality: StackQuality,
    /// Why not, for people.
    pub reason: Option<String>,
}

/// Walks among passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walks {
    /// One pass in so many is a walk.
    pub one_in: u32,
    /// This one was.
    pub now: bool,
}

/// What a sample cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The last pass over the sockets that have records, as it was waited for; the walk where every pass is one.
    pub sockets: Duration,
    /// Processor time of that pass.
    pub sockets_cpu: Duration,
    /// One pass in so many is a walk, and whether this one was; `None` where every one is.
    pub walks: Option<Walks>,
    /// Processor time of the holders pass; zero if there was none.
    pub holders: Duration,
    /// Processor time of leaktrace since its start.
    pub cpu: Duration,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Namespaces visited.
    pub namespaces: u32,
}
