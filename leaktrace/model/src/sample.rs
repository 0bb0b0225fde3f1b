//! What one sample contains: plain data, the only input of the tracker. A live kernel and a recording give the same.

use crate::{
    Comm, Degradation, Direction, Limits, Location, Lost, Moment, NamerHealth, Observed, ProcessFacts, StackQuality,
    StackReason, Sums, Verdicts,
};
use std::time::Duration;

/// Number of lifetime classes of a call site. `leaktrace-kernel` asserts that the kernel side agrees.
pub const LIFETIME_CLASSES: usize = 44;

/// One sample.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// When it was taken.
    pub at: Moment,
    /// The parameters of its passes.
    pub pass: Pass,
    /// Sums over all sockets of the host.
    pub totals: HostTotals,
    /// What was lost since the start; `samples` counts reads that could not be decoded.
    pub lost: Lost,
    /// Records dropped since the start because their socket was gone: its close was missed.
    pub stale_records: u64,
    /// Sockets with a requested verdict, or all sockets if asked for.
    pub sockets: Vec<Observed>,
    /// Counters of every call site in use, by index.
    pub callsites: Vec<(u32, SiteCounters)>,
    /// Stacks of call sites that are new since the last sample.
    pub stacks: Vec<CallsiteStack>,
    /// Which process holds which socket, if this sample includes a holders pass.
    pub holders: Option<Holders>,
    /// The process tree of the command, if one is followed.
    pub tree: Option<TreeSample>,
    /// Processes that are new since the last sample.
    pub processes: Vec<ProcessFacts>,
    /// What works less well than it could.
    pub degraded: Vec<Degradation>,
    /// How the processes that read foreign files are doing; `None` where there are none.
    pub namer: Option<NamerHealth>,
    /// Kernel memory of TCP on the host, in bytes.
    pub tcp_memory_bytes: Option<u64>,
    /// What the sample cost.
    pub cost: Cost,
}

/// Which sockets a sample shows one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Those with one of these verdicts.
    With(Verdicts),
    /// Every open socket.
    All,
}

impl Default for Shown {
    fn default() -> Self {
        Self::With(Verdicts::NONE)
    }
}

/// The parameters of the passes of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Number of the sampling pass, never 0.
    pub number: u16,
    /// Number of the last or current holders pass, never 0 once there was one.
    pub held_pass: u16,
    /// The `CLOCK_BOOTTIME` that the pass takes as now, in nanoseconds.
    pub now_ns: u64,
    /// The thresholds of verdicts.
    pub limits: Limits,
    /// Which sockets are shown one by one.
    pub shown: Shown,
}

/// Sums over all sockets of the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostTotals {
    /// Sums over open sockets; the oldest is not known.
    pub sums: Sums,
    /// Open sockets in an accept queue.
    pub in_accept_queue: u64,
    /// Open sockets without a record because the table was full.
    pub unattributed: u64,
    /// Sockets adopted in this pass.
    pub adopted: u64,
    /// Sockets that their application has closed and TCP has not finished with.
    pub orphans: u64,
    /// Kernel memory charged to those, in bytes.
    pub orphan_memory_bytes: u64,
}

/// What two opens at the same call site have in common, for the kernel side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SiteKey {
    /// Keyed hash of the stack's content; 0 without a stack.
    pub stack_hash: u64,
    /// Process; 0 marks the call site of sockets whose opener is unknown.
    pub pid: u32,
    /// Which end opened.
    pub direction: Direction,
}

/// Counters of one call site of the kernel side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteCounters {
    /// Its key.
    pub key: SiteKey,
    /// Thread name at the first open.
    pub comm: Comm,
    /// Sockets opened here since the tracer started. Those of unknown origin are also counted down, maybe below zero
    /// for a moment, so sums wrap.
    pub opened: u64,
    /// Sockets closed since then; wraps as well.
    pub closed: u64,
    /// Longest lifetime of a closed one, in nanoseconds.
    pub longest_ns: u64,
    /// Closed sockets whose opening was seen, by class of lifetime: class `i` ends at `2^(10+i)` ns, the last is open-ended.
    pub lifetimes: [u64; LIFETIME_CLASSES],
    /// Number of the pass that made [`Self::sums`]. Sums of an older pass do not count.
    pub pass: u32,
    /// Sums over its open sockets.
    pub sums: Sums,
}

impl Default for SiteCounters {
    fn default() -> Self {
        Self {
            key: SiteKey::default(),
            comm: Comm::default(),
            opened: 0,
            closed: 0,
            longest_ns: 0,
            lifetimes: [0; LIFETIME_CLASSES],
            pass: 0,
            sums: Sums::default(),
        }
    }
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
    /// Why the stack is not complete.
    pub reason: Option<StackReason>,
}

/// What the holders pass found.
#[derive(Clone, Debug, Default)]
pub struct Holders {
    /// Descriptors of sockets that are shown.
    pub rows: Vec<SocketHolder>,
    /// Processes that hold TCP connections.
    pub processes: Vec<HolderProcess>,
    /// Descriptors that were seen.
    pub descriptors: u64,
}

/// A descriptor that refers to a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketHolder {
    /// [`Observed::sk`]
    pub sk: u64,
    /// Process.
    pub pid: u32,
    /// Descriptor.
    pub fd: u32,
}

/// One process that holds TCP connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HolderProcess {
    /// Process.
    pub pid: u32,
    /// Its name.
    pub comm: Comm,
    /// Open descriptors of any kind.
    pub fds: u32,
    /// Descriptors that are TCP connections (not listeners).
    pub sockets: u32,
    /// Kernel memory charged to them, in bytes.
    pub memory_bytes: u64,
    /// Payload in their receive queues, in bytes.
    pub rx_queue_bytes: u64,
}

/// The tree of a command.
#[derive(Clone, Debug, Default)]
pub struct TreeSample {
    /// Its processes by id: those that run, and those that have exited recently.
    pub processes: Vec<(u32, TreeProcess)>,
    /// Sockets that only an exit closed, since the last sample.
    pub left: Vec<LeftSocket>,
}

/// One process of the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeProcess {
    /// When it was forked, `CLOCK_BOOTTIME`, in nanoseconds.
    pub started_ns: u64,
    /// When its last thread exited; `None` while it runs.
    pub exited_ns: Option<u64>,
    /// Sockets that its exit has closed.
    pub left_open: u64,
    /// Process that forked it.
    pub parent: u32,
    /// As wait(2) gives it; meaningless while it runs.
    pub exit_code: u32,
    /// Name of its main thread at its exit.
    pub comm: Comm,
}

/// A socket that was open until the exit of a process closed it, as it was at that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftSocket {
    /// When, `CLOCK_BOOTTIME`, in nanoseconds.
    pub at_ns: u64,
    /// The process that exited.
    pub pid: u32,
    /// The socket.
    pub socket: Observed,
}

/// How walks over the kernel's tables are spread over passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walks {
    /// One pass in this many is a walk.
    pub one_in: u32,
    /// Whether this pass was one.
    pub now: bool,
}

/// What a sample cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Duration of the last pass over sockets that have records, or of the walk if every pass is one.
    pub sockets: Duration,
    /// Processor time of that pass.
    pub sockets_cpu: Duration,
    /// How walks are spread, and whether this pass was one; `None` when every pass is.
    pub walks: Option<Walks>,
    /// Processor time of the holders pass; zero if there was none.
    pub holders: Duration,
    /// Processor time of leaktrace since its start.
    pub cpu: Duration,
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// Namespaces visited.
    pub namespaces: u32,
}
