//! What is known at one moment: the one structure that live view, reports and recordings all read.
//!
//! Its serialization is the JSON report, field for field; `schema_version` counts incompatible changes.
//! Unknown is `None`, never a made-up value. Durations are seconds, sizes are bytes.

mod run;

pub use run::{LeftOpen, Run, RunProcess};

use leaktrace_common::{Verdict, Verdicts};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the report's structure.
pub const SCHEMA_VERSION: u32 = 1;

/// One report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SCHEMA_VERSION`]
    pub schema_version: u32,
    /// Who wrote it.
    pub tool: Tool,
    /// Where it was taken.
    pub host: Host,
    /// What span it covers.
    pub window: Window,
    /// With which thresholds.
    pub settings: Settings,
    /// How well the tracer itself is doing.
    pub health: Health,
    /// Sums over everything.
    pub totals: Totals,
    /// Processes that hold sockets, worst first.
    pub processes: Vec<Process>,
    /// Call sites, worst first.
    pub callsites: Vec<Callsite>,
    /// Sockets grouped by peer, worst first.
    pub peers: Vec<Group>,
    /// Accepted sockets grouped by the local address they were accepted on, worst first.
    pub listeners: Vec<Group>,
    /// Flagged sockets (all of them with `--all`), worst first.
    pub sockets: Vec<Socket>,
    /// What became of the command, in a report of `leaktrace run` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
}

/// The program that wrote a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// `leaktrace`
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Default for Tool {
    fn default() -> Self {
        Self { name: "leaktrace".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// The machine a report is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Host name.
    pub hostname: Option<String>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Boot id: changes with every boot.
    pub boot_id: Option<String>,
}

/// The span a report covers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// RFC 3339, UTC.
    pub start: String,
    /// RFC 3339, UTC.
    pub end: String,
    /// Length.
    pub seconds: f64,
}

/// The thresholds and filters in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Age from which a socket is `long-lived`.
    pub threshold_s: f64,
    /// How long a stuck state must last.
    pub stall_s: f64,
    /// How long without payload counts as idle.
    pub idle_s: f64,
    /// Time between samples.
    pub interval_s: f64,
    /// Of which processes stacks are sampled; `None` where every open has its own, in a replay, and without stacks.
    #[serde(default)]
    pub stack_sample: Option<StackSample>,
    /// What was asked for.
    pub filters: Filters,
}

/// How stacks are sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackSample {
    /// One stack in so many is captured.
    pub one_in: u32,
    /// Of processes that open more sockets than this within a second.
    pub above_per_s: u32,
}

/// How the [`Callsite::stack_reason`] of opens begins whose stack was left out on purpose.
pub const NOT_SAMPLED: &str = "not sampled";

/// Filters: one list alternates, different lists must all match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filters {
    /// Processes.
    pub pid: Vec<u32>,
    /// Process names.
    pub comm: Vec<String>,
    /// Local or remote ports.
    pub port: Vec<u16>,
    /// Peer networks.
    pub peer: Vec<String>,
    /// Container id prefixes.
    pub container: Vec<String>,
    /// `connect` or `accept`.
    pub direction: Vec<String>,
}

/// How well the tracer is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// `fentry`, `kprobe`, `tracepoint` or `replay`.
    pub hooks: String,
    /// What works less well than it could, and why.
    pub degraded: Vec<Degradation>,
    /// What was lost since the start.
    pub lost: Lost,
    /// Processor time of leaktrace so far, user and system.
    pub cpu_s: Option<f64>,
    /// Resident memory of leaktrace.
    pub rss_bytes: Option<u64>,
    /// How long the last sampling pass took, over all network namespaces: of those over known sockets, where not every pass
    /// walks the kernel's tables.
    pub pass_s: Option<f64>,
    /// Processor time of that pass.
    pub pass_cpu_s: Option<f64>,
    /// Processor time of the last holders pass.
    pub holders_pass_cpu_s: Option<f64>,
    /// Kernel memory of TCP on the whole host (`/proc/net/sockstat`), in this network namespace's view.
    pub tcp_memory_bytes: Option<u64>,
    /// Of that, memory that no sampled socket accounts for.
    pub tcp_memory_gap_bytes: Option<i64>,
    /// How many sockets the ignore list left out.
    pub ignored: u64,
    /// How many verdicts have gone away within the window.
    pub resolved: u64,
}

/// Something that works less well than it could.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Degradation {
    /// What is affected.
    pub feature: String,
    /// Why, and what to do.
    pub reason: String,
}

/// Counts of what was lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Sockets that found no room in the table.
    pub sockets_unattributed: u64,
    /// Stacks that could not be kept.
    pub stacks: u64,
    /// Samples that were not taken, or arrived damaged.
    pub samples: u64,
    /// Stack copies for unwinding that found no room, or exceeded the rate of their process.
    #[serde(default)]
    pub captures: u64,
}

impl Lost {
    /// Whether anything was.
    pub fn any(&self) -> bool {
        [self.sockets_unattributed, self.stacks, self.samples, self.captures].iter().any(|count| *count > 0)
    }
}

/// Sums over everything that matches the filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Sockets open now.
    pub open: u64,
    /// Opened within the window.
    pub opened: u64,
    /// Closed within the window.
    pub closed: u64,
    /// Open with at least one verdict.
    pub flagged: u64,
    /// Payload that waits in receive queues.
    pub rx_queue_bytes: u64,
    /// Kernel memory charged to sockets.
    pub memory_bytes: u64,
}

/// One process that holds sockets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Name.
    pub comm: String,
    /// Executable.
    pub exe: Option<String>,
    /// Container id, 64 hexadecimal digits where the runtime uses those.
    pub container: Option<String>,
    /// Kubernetes pod UID.
    pub pod: Option<String>,
    /// Systemd unit.
    pub unit: Option<String>,
    /// Path of the control group.
    pub cgroup: Option<String>,
    /// TCP connections it holds.
    pub open: u64,
    /// Those with a verdict.
    pub flagged: u64,
    /// Descriptors of any kind.
    pub fds_open: Option<u64>,
    /// Soft limit of descriptors.
    pub fds_limit: Option<u64>,
    /// How fast descriptors grow.
    pub fds_per_min: Option<f64>,
    /// At that rate, time left until the limit.
    pub fds_exhausted_s: Option<f64>,
    /// Kernel memory in its sockets.
    pub memory_bytes: u64,
}

/// The code that opened sockets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Callsite {
    /// Stable within a run of the tracer, and the same in every report of it.
    pub id: u64,
    /// `connect`, `accept` or `unknown`.
    pub direction: String,
    /// Process name.
    pub comm: String,
    /// Executable.
    pub exe: Option<String>,
    /// Processes that opened sockets here.
    pub pids: Vec<u32>,
    /// Leaf first; empty when unknown.
    pub stack: Vec<Frame>,
    /// `complete`, `truncated` or `missing`.
    pub stack_quality: StackQuality,
    /// Why the stack is not complete.
    pub stack_reason: Option<String>,
    /// Open now.
    pub open: u64,
    /// Opened within the window.
    pub opened: u64,
    /// Closed within the window.
    pub closed: u64,
    /// Open with at least one verdict.
    pub flagged: u64,
    /// Age of the oldest.
    pub oldest_s: Option<f64>,
    /// Whether that age is exact; false reads as "≥".
    pub oldest_exact: bool,
    /// Whether the number of open sockets rises beyond what churn explains; `None` until there is enough history.
    pub growing: Option<bool>,
    /// By how many sockets a minute.
    pub growth_per_min: Option<f64>,
    /// Lifetimes of the sockets closed within the window.
    pub lifetime_s: Option<Lifetimes>,
    /// Payload that waits in receive queues.
    pub rx_queue_bytes: u64,
    /// Kernel memory charged.
    pub memory_bytes: u64,
    /// How many sockets have each verdict.
    pub verdicts: VerdictCounts,
    /// The peers with the most sockets.
    pub peers: Vec<PeerCount>,
}

/// How much of a stack is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StackQuality {
    /// The walk reached the thread's start.
    Complete,
    /// Some callers are known.
    Truncated,
    /// Nothing is known.
    #[default]
    Missing,
}

/// One frame of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Frame {
    /// Address in the process when it was captured.
    pub address: u64,
    /// Function.
    pub symbol: Option<String>,
    /// Offset within the function, or within the module where there is no function.
    pub offset: Option<u64>,
    /// File that the code was mapped from.
    pub module: Option<String>,
    /// Source file.
    pub file: Option<String>,
    /// Source line.
    pub line: Option<u32>,
    /// Whether the compiler put this function into its caller.
    pub inlined: bool,
}

/// Lifetimes of closed sockets. The quantiles come from a histogram with two classes an octave at the most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lifetimes {
    /// How many.
    pub count: u64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Longest.
    pub max: f64,
    /// The histogram itself: its classes that are not empty, shortest first. Reports of earlier versions have none.
    #[serde(default)]
    pub buckets: Vec<LifetimeBucket>,
}

/// A class of lifetimes: those below a bound and not below half of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LifetimeBucket {
    /// The bound, in seconds: a power of two of nanoseconds. The first class begins at 0; that of lifetimes of 52 days and
    /// more has no end, and its bound is the longest of them.
    pub below: f64,
    /// How many.
    pub count: u64,
}

/// A peer of a call site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerCount {
    /// Address and port for connects, address for accepts.
    pub peer: String,
    /// Sockets open.
    pub open: u64,
}

/// Sockets that share a peer or a listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Address and port, or address.
    pub name: String,
    /// Sockets open.
    pub open: u64,
    /// With at least one verdict.
    pub flagged: u64,
    /// Age of the oldest.
    pub oldest_s: Option<f64>,
    /// Whether that age is exact; false reads as "≥". Reports of earlier versions do not say.
    #[serde(default)]
    pub oldest_exact: bool,
    /// See [`Callsite::growing`].
    pub growing: Option<bool>,
    /// See [`Callsite::growth_per_min`].
    pub growth_per_min: Option<f64>,
    /// Payload that waits in receive queues.
    pub rx_queue_bytes: u64,
    /// Kernel memory charged.
    pub memory_bytes: u64,
    /// How many sockets have each verdict.
    pub verdicts: VerdictCounts,
}

/// Sockets by the contract's verdict names; absent names are zero.
pub type VerdictCounts = BTreeMap<String, u64>;

/// Kernel's process or descriptor that holds a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holder {
    /// Process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Its descriptor.
    pub fd: u32,
}

/// One socket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Socket {
    /// Cookie: identity within a boot, as `ss -e` prints it.
    pub cookie: Option<u64>,
    /// [`Callsite::id`]
    pub callsite: Option<u64>,
    /// `connect`, `accept` or `unknown`.
    pub direction: String,
    /// `ipv4` or `ipv6`; a mapped address is `ipv4`.
    pub family: String,
    /// Local address and port.
    pub local: String,
    /// Remote address and port.
    pub remote: String,
    /// RFC 9293 name.
    pub state: String,
    /// Process that opened it; `None` for a socket older than the tracer.
    pub pid: Option<u32>,
    /// Thread that opened it.
    pub tid: Option<u32>,
    /// Name of the opener.
    pub comm: Option<String>,
    /// Who holds it now.
    pub holders: Vec<Holder>,
    /// Age.
    pub age_s: f64,
    /// Whether the age is exact; false reads as "≥".
    pub age_exact: bool,
    /// How long no payload has moved either way.
    pub idle_s: Option<f64>,
    /// Payload in the receive queue.
    pub rx_queue_bytes: u64,
    /// Payload in the send queue.
    pub tx_queue_bytes: u64,
    /// Payload received.
    pub bytes_received: u64,
    /// Payload that the application has read.
    pub bytes_read: u64,
    /// Payload sent, retransmissions included.
    pub bytes_sent: u64,
    /// Sequence space acknowledged by the peer.
    pub bytes_acked: u64,
    /// How long payload has waited with nothing read; `None` when none waits.
    pub unread_s: Option<f64>,
    /// How long bytes have waited with nothing acknowledged; `None` when none wait.
    pub unacked_s: Option<f64>,
    /// How long it has been in its state.
    pub state_s: Option<f64>,
    /// Whether SO_KEEPALIVE is set.
    pub keepalive: Option<bool>,
    /// TCP_USER_TIMEOUT; `None` when not set.
    pub user_timeout_ms: Option<u32>,
    /// Whether a thread or a poller waits on it.
    pub waiters: Option<bool>,
    /// Kernel memory charged.
    pub memory_bytes: u64,
    /// Inode of its network namespace.
    pub netns: Option<u64>,
    /// Container of the process that holds it.
    pub container: Option<String>,
    /// Names of the verdicts that hold, worst first.
    pub verdicts: Vec<String>,
}

impl Socket {
    /// The verdicts as a set; names that this version does not know are left out.
    pub fn verdict_set(&self) -> Verdicts {
        let mut set = Verdicts::NONE;
        for verdict in self.verdicts.iter().filter_map(|name| Verdict::from_name(name)) {
            set.insert(verdict);
        }
        set
    }
}
