//! What frames hold, as it is written: owned by the format, so that no change elsewhere in the program changes what old
//! recordings mean.
//!
//! Fields are written in their order without names. None is ever added, removed or moved within a version.

use super::{frame::Damage, head::Head, table::Step};
use leaktrace_common::Direction;
use leaktrace_model::{
    filter::Filter,
    host::{HostFacts, Moment, Placement, ProcessFacts},
    snapshot::{self, StackQuality},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest path and the like that is believed, in bytes.
const LONGEST_TEXT: usize = 8 << 10;

/// Who recorded, where, how: the content of the first frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Version of the program that recorded.
    pub version: String,
    /// Name, kernel and boot id of the host.
    pub host: [Option<String>; 3],
    /// Kind of hooks.
    pub hooks: String,
    /// Threshold, stall, idle and interval, nanoseconds.
    pub spans_ns: [u64; 4],
    /// What was looked at.
    pub filter: WireFilter,
    /// What was left out on purpose.
    pub ignore: Vec<WireFilter>,
    /// When watching began: `CLOCK_BOOTTIME`, nanoseconds.
    pub started_boot_ns: u64,
    /// When watching began: nanoseconds since 1970.
    pub started_unix_ns: i64,
}

/// See [`Filter`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireFilter {
    pids: Vec<u32>,
    comms: Vec<String>,
    exes: Vec<String>,
    ports: Vec<u16>,
    peers: Vec<String>,
    containers: Vec<String>,
    units: Vec<String>,
    directions: Vec<u8>,
}

/// One part of a sample. [`Item::Head`] is the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Item {
    /// The sample has what a holders pass found; so many descriptors were looked at.
    Holders(u64),
    /// A step to its rows.
    Row(Kind, Step),
    /// A process that is new or has changed.
    Process(Process),
    /// The next place of the recording: they are numbered from 0 in the order of coming.
    Place(Place),
    /// A stack that is new.
    Stack(Stack),
    /// What works less well than it could, when that changes.
    Degraded(Vec<(String, String)>),
    /// Everything else.
    Head(Head),
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A socket that a sampling pass has seen.
    Socket,
    /// A socket that only the holders pass has seen.
    Dead,
    /// A call site.
    Callsite,
    /// A descriptor that refers to a socket.
    Holder,
    /// A process that holds sockets.
    Process,
}

/// See [`ProcessFacts`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Process {
    pid: u32,
    comm: String,
    exe: Option<String>,
    /// Control group, container, pod, unit.
    placement: [Option<String>; 4],
    descriptor_limit: Option<u64>,
    started: u64,
}

/// A place in code that stacks go through, and its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Number of the module.
    pub module: Option<u32>,
    /// Offset in it.
    pub offset: u64,
    /// Name of generated code.
    pub name: Option<String>,
    /// Whether the thread was there, rather than a call that will return there.
    pub is_leaf: bool,
    /// Innermost first.
    pub frames: Vec<Frame>,
}

/// See [`snapshot::Frame`]; the address is the stack's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    symbol: Option<String>,
    offset: Option<u64>,
    module: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    inlined: bool,
}

/// See [`leaktrace_model::sample::CallsiteStack`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// Index of the call site.
    pub callsite: u32,
    /// 0 complete, 1 truncated, 2 missing.
    pub quality: u8,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// Leaf first: the address, and the number of the place; `None` for an address of which nothing is known.
    pub frames: Vec<(u64, Option<u32>)>,
}

fn text(text: &str) -> String {
    let end = (0..=LONGEST_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}

fn optional(text: &Option<String>) -> Option<String> {
    text.as_deref().map(self::text)
}

fn believed(text: String) -> Result<String, Damage> {
    if text.len() <= LONGEST_TEXT { Ok(text) } else { Err(Damage::Nonsense("a text that is too long")) }
}

fn all_believed<const N: usize>(texts: [Option<String>; N]) -> Result<[Option<String>; N], Damage> {
    if texts.iter().flatten().all(|text| text.len() <= LONGEST_TEXT) {
        Ok(texts)
    } else {
        Err(Damage::Nonsense("a text that is too long"))
    }
}

/// As many as there are; more than five centuries are that.
pub(super) fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl Start {
    /// Says who records now, where, how. The spans are threshold, stall, idle and interval.
    pub fn new(host: &HostFacts, hooks: &str, spans: [Duration; 4], started: Moment) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: [&host.hostname, &host.kernel, &host.boot_id].map(optional),
            hooks: hooks.to_owned(),
            spans_ns: spans.map(nanoseconds),
            started_boot_ns: started.boot_ns,
            started_unix_ns: started.unix_ns,
            ..Self::default()
        }
    }

    /// The host.
    pub fn host(&self) -> HostFacts {
        let [hostname, kernel, boot_id] = self.host.clone();
        HostFacts { hostname, kernel, boot_id }
    }

    /// Threshold, stall, idle and interval.
    pub fn spans(&self) -> [Duration; 4] {
        self.spans_ns.map(Duration::from_nanos)
    }

    /// When watching began.
    pub fn started(&self) -> Moment {
        Moment { boot_ns: self.started_boot_ns, unix_ns: self.started_unix_ns }
    }
}

impl From<&Filter> for WireFilter {
    fn from(filter: &Filter) -> Self {
        Self {
            pids: filter.pids.clone(),
            comms: filter.comms.clone(),
            exes: filter.exes.clone(),
            ports: filter.ports.clone(),
            peers: filter.peers.iter().map(ToString::to_string).collect(),
            containers: filter.containers.clone(),
            units: filter.units.clone(),
            directions: filter.directions.iter().map(|direction| direction.raw()).collect(),
        }
    }
}

impl TryFrom<WireFilter> for Filter {
    type Error = Damage;

    fn try_from(wire: WireFilter) -> Result<Self, Damage> {
        let peers: Result<_, _> = wire.peers.iter().map(|peer| peer.parse()).collect();
        Ok(Self {
            pids: wire.pids,
            comms: wire.comms,
            exes: wire.exes,
            ports: wire.ports,
            peers: peers.map_err(|_| Damage::Nonsense("a network that is none"))?,
            containers: wire.containers,
            units: wire.units,
            directions: wire.directions.into_iter().map(Direction::from_raw).collect(),
        })
    }
}

impl From<&ProcessFacts> for Process {
    fn from(facts: &ProcessFacts) -> Self {
        let Placement { cgroup, container, pod, unit } = &facts.placement;
        Self {
            pid: facts.pid,
            comm: text(&facts.comm),
            exe: optional(&facts.exe),
            placement: [cgroup, container, pod, unit].map(optional),
            descriptor_limit: facts.descriptor_limit,
            started: facts.started,
        }
    }
}

impl TryFrom<Process> for ProcessFacts {
    type Error = Damage;

    fn try_from(wire: Process) -> Result<Self, Damage> {
        let [cgroup, container, pod, unit] = all_believed(wire.placement)?;
        let [exe] = all_believed([wire.exe])?;
        Ok(Self {
            pid: wire.pid,
            comm: believed(wire.comm)?,
            exe,
            placement: Placement { cgroup, container, pod, unit },
            descriptor_limit: wire.descriptor_limit,
            started: wire.started,
        })
    }
}

impl From<snapshot::Frame> for Frame {
    fn from(frame: snapshot::Frame) -> Self {
        let snapshot::Frame { address: _, symbol, offset, module, file, line, inlined } = frame;
        Self { symbol, offset, module, file, line, inlined }
    }
}

impl From<Frame> for snapshot::Frame {
    fn from(frame: Frame) -> Self {
        let Frame { symbol, offset, module, file, line, inlined } = frame;
        Self { address: 0, symbol, offset, module, file, line, inlined }
    }
}

impl Place {
    /// Memory that its texts take, in bytes.
    pub fn weight(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let frame =
            |frame: &Frame| size_of::<Frame>() + length(&frame.symbol) + length(&frame.module) + length(&frame.file);
        size_of::<Self>() + length(&self.name) + self.frames.iter().map(frame).sum::<usize>()
    }
}

/// How much of a stack is known, as a number.
pub const fn quality_raw(quality: StackQuality) -> u8 {
    match quality {
        StackQuality::Complete => 0,
        StackQuality::Truncated => 1,
        StackQuality::Missing => 2,
    }
}

/// The same back; an unknown number says nothing.
pub const fn quality_from_raw(raw: u8) -> StackQuality {
    match raw {
        0 => StackQuality::Complete,
        1 => StackQuality::Truncated,
        _ => StackQuality::Missing,
    }
}
