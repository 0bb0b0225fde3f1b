//! Call sites: the code that opened sockets, as a snapshot shows it.

use crate::{Direction, Peer, StackReason, Sums, Trend};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct as _};

/// The code that opened sockets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Callsite {
    /// Stable within a run of the tracer, and the same in every report of it.
    pub id: u64,
    /// Which end opened.
    pub direction: Direction,
    /// Process name.
    pub comm: String,
    /// Executable.
    pub exe: Option<String>,
    /// Processes that opened sockets here.
    pub pids: Vec<u32>,
    /// Leaf first; empty when unknown.
    pub stack: Vec<Frame>,
    /// How much of the stack is known.
    pub stack_quality: StackQuality,
    /// Why the stack is not complete.
    pub stack_reason: Option<StackReason>,
    /// Sums over its open sockets.
    pub sums: Sums,
    /// Opened within the window.
    pub opened: u64,
    /// Closed within the window.
    pub closed: u64,
    /// How its number of open sockets changes; `None` until there is enough history.
    pub trend: Option<Trend>,
    /// Lifetimes of the sockets closed within the window.
    pub lifetimes: Option<Lifetimes>,
    /// The peers with the most sockets.
    pub peers: Vec<PeerCount>,
}

impl Callsite {
    /// Whether its number of open sockets rises more than churn explains.
    pub fn is_growing(&self) -> bool {
        self.trend.is_some_and(|trend| trend.growing)
    }
}

impl Serialize for Callsite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut site = serializer.serialize_struct("Callsite", 21)?;
        site.serialize_field("id", &self.id)?;
        site.serialize_field("direction", &self.direction)?;
        site.serialize_field("comm", &self.comm)?;
        site.serialize_field("exe", &self.exe)?;
        site.serialize_field("pids", &self.pids)?;
        site.serialize_field("stack", &self.stack)?;
        site.serialize_field("stack_quality", &self.stack_quality)?;
        site.serialize_field("stack_reason", &self.stack_reason)?;
        site.serialize_field("open", &self.sums.open)?;
        site.serialize_field("opened", &self.opened)?;
        site.serialize_field("closed", &self.closed)?;
        site.serialize_field("flagged", &self.sums.flagged)?;
        site.serialize_field("oldest_s", &self.sums.oldest_s())?;
        site.serialize_field("oldest_exact", &self.sums.oldest_exact())?;
        site.serialize_field("growing", &self.trend.map(|trend| trend.growing))?;
        site.serialize_field("growth_per_min", &self.trend.map(|trend| trend.per_min))?;
        site.serialize_field("lifetime_s", &self.lifetimes)?;
        site.serialize_field("rx_queue_bytes", &self.sums.rx_queue_bytes)?;
        site.serialize_field("memory_bytes", &self.sums.memory_bytes)?;
        site.serialize_field("verdicts", &self.sums.verdicts)?;
        site.serialize_field("peers", &self.peers)?;
        site.end()
    }
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

impl StackQuality {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Truncated => "truncated",
            Self::Missing => "missing",
        }
    }
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

/// Lifetimes of closed sockets, in seconds. The quantiles come from a histogram with at most two classes per octave.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
    /// The histogram itself: its classes that are not empty, shortest first.
    pub buckets: Vec<LifetimeBucket>,
}

/// A class of lifetimes: those below a bound and not below half of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LifetimeBucket {
    /// The upper bound in seconds: a power of two of nanoseconds. The first class begins at 0. The class of lifetimes
    /// of 52 days and more has no end; its bound is the longest of them.
    pub below: f64,
    /// How many.
    pub count: u64,
}

/// A peer of a call site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PeerCount {
    /// Address and port for connects, address for accepts.
    pub peer: Peer,
    /// Sockets open.
    pub open: u64,
}
