//! The content of blocks, as it is written. These types belong to the format, so changes of the model do not change what old recordings
//! mean.
//!
//! Fields are written in their order without names. None is added, removed or moved within a released version.

use super::{block::Damage, head::Head, table::Step, time::nanoseconds};
use leaktrace_model::{
    self as model, Direction, Filter, HookKind, Host, Limits, Moment, Placement, ProcessFacts, Settings, StackQuality,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest path or other text of a process, in bytes. The writer cuts longer ones, the reader refuses them.
const LONGEST_TEXT: usize = 8 << 10;

/// Who recorded, where and how: the content of the first block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Version of the program that recorded.
    version: String,
    /// Name, kernel and boot id of the host.
    host: [Option<String>; 3],
    /// Kind of hooks.
    hooks: String,
    /// Threshold, stall, idle and interval, nanoseconds.
    spans_ns: [u64; 4],
    /// Which sockets and processes were watched.
    filter: WireFilter,
    /// What was left out on purpose.
    ignore: Vec<WireFilter>,
    /// When watching began: `CLOCK_BOOTTIME`, nanoseconds.
    started_boot_ns: u64,
    /// When watching began: nanoseconds since 1970.
    started_unix_ns: i64,
}

/// See [`Filter`]. Directions are 0 unknown, 1 connect, 2 accept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct WireFilter {
    pids: Vec<u32>,
    comms: Vec<String>,
    exes: Vec<String>,
    ports: Vec<u16>,
    peers: Vec<String>,
    containers: Vec<String>,
    units: Vec<String>,
    directions: Vec<u8>,
}

/// One part of a sample. [`Item::Head`] is the last of a sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Item {
    /// The sample has the results of a holders pass, which read this many descriptors.
    Holders(u64),
    /// A step to its rows.
    Row(RowKind, Step),
    /// A process that is new or has changed.
    Process(Process),
    /// A place that is new. Places are numbered from 0, in their order in the recording.
    Place(Place),
    /// A stack that is new.
    Stack(Stack),
    /// Everything that works less well than it could, as feature and reason. Written when it changes.
    Degraded(Vec<(String, String)>),
    /// The numbers of the sample.
    Head(Head),
    /// Since version 2: how often the process that reads foreign files was replaced, and the files that are not read any more. Written when
    /// it changes.
    Namer(u64, Vec<String>),
    /// Since version 2: counts of verdicts that [`Head`] has no place for, in the order of their table. Left out while there are none.
    MoreVerdicts(Vec<u64>),
}

/// What a row describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RowKind {
    /// A socket that the sampling pass saw.
    Socket,
    /// A socket that only the holders pass saw.
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
pub(crate) struct Process {
    pid: u32,
    comm: String,
    exe: Option<String>,
    /// Control group, container, pod, unit.
    placement: [Option<String>; 4],
    descriptor_limit: Option<u64>,
    started: u64,
}

/// A place in code, and its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Number of the module.
    pub(crate) module: Option<u32>,
    /// Offset in it.
    pub(crate) offset: u64,
    /// Name of generated code.
    pub(crate) name: Option<String>,
    /// Whether a thread was there. Otherwise a call will return there.
    pub(crate) is_leaf: bool,
    /// Innermost first.
    pub(crate) frames: Vec<PlaceFrame>,
}

/// See [`model::Frame`]. The address is not written here: each stack has its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlaceFrame {
    symbol: Option<String>,
    offset: Option<u64>,
    module: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    inlined: bool,
}

/// See [`model::CallsiteStack`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stack {
    /// Index of the call site.
    pub(crate) callsite: u32,
    /// 0 complete, 1 truncated, 2 missing.
    pub(crate) quality: u8,
    /// Why it is not complete.
    pub(crate) reason: Option<String>,
    /// Leaf first: the address and the number of the place. `None` for an address of which nothing is known.
    pub(crate) frames: Vec<(u64, Option<u32>)>,
}

fn text(text: &str) -> String {
    let end = (0..=LONGEST_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}

fn optional(text: &Option<String>) -> Option<String> {
    text.as_deref().map(self::text)
}

fn checked(text: String) -> Result<String, Damage> {
    if text.len() <= LONGEST_TEXT { Ok(text) } else { Err(Damage::Nonsense("a text that is too long")) }
}

fn all_checked<const N: usize>(texts: [Option<String>; N]) -> Result<[Option<String>; N], Damage> {
    if texts.iter().flatten().all(|text| text.len() <= LONGEST_TEXT) {
        Ok(texts)
    } else {
        Err(Damage::Nonsense("a text that is too long"))
    }
}

impl Start {
    /// Describes a recording by this program. `ignore` is what it leaves out on purpose.
    pub fn new(host: &Host, hooks: HookKind, settings: &Settings, ignore: &[Filter], started: Moment) -> Self {
        let Limits { threshold, stall, idle } = settings.limits;
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: [&host.hostname, &host.kernel, &host.boot_id].map(optional),
            hooks: hooks.name().to_owned(),
            spans_ns: [threshold, stall, idle, settings.interval].map(nanoseconds),
            filter: (&settings.filter).into(),
            ignore: ignore.iter().map(Into::into).collect(),
            started_boot_ns: started.boot_ns,
            started_unix_ns: started.unix_ns,
        }
    }

    /// The host.
    pub fn host(&self) -> Host {
        let [hostname, kernel, boot_id] = self.host.clone();
        Host { hostname, kernel, boot_id }
    }

    /// The thresholds, the interval and the filter.
    ///
    /// # Errors
    /// When the filter is not valid.
    pub fn settings(&self) -> Result<Settings, Damage> {
        let [threshold, stall, idle, interval] = self.spans_ns.map(Duration::from_nanos);
        let limits = Limits { threshold, stall, idle };
        Ok(Settings { limits, interval, stack_sample: None, filter: self.filter.clone().try_into()? })
    }

    /// What was left out on purpose.
    ///
    /// # Errors
    /// When a filter is not valid.
    pub fn ignore(&self) -> Result<Vec<Filter>, Damage> {
        self.ignore.iter().cloned().map(Filter::try_from).collect()
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
        let [cgroup, container, pod, unit] = all_checked(wire.placement)?;
        let [exe] = all_checked([wire.exe])?;
        Ok(Self {
            pid: wire.pid,
            comm: checked(wire.comm)?,
            exe,
            placement: Placement { cgroup, container, pod, unit },
            descriptor_limit: wire.descriptor_limit,
            started: wire.started,
        })
    }
}

impl From<model::Frame> for PlaceFrame {
    fn from(frame: model::Frame) -> Self {
        let model::Frame { address: _, symbol, offset, module, file, line, inlined } = frame;
        Self { symbol, offset, module, file, line, inlined }
    }
}

impl From<PlaceFrame> for model::Frame {
    fn from(frame: PlaceFrame) -> Self {
        let PlaceFrame { symbol, offset, module, file, line, inlined } = frame;
        Self { address: 0, symbol, offset, module, file, line, inlined }
    }
}

impl Place {
    /// Memory that it takes, in bytes.
    pub(crate) fn memory_use(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let frame = |frame: &PlaceFrame| {
            size_of::<PlaceFrame>() + length(&frame.symbol) + length(&frame.module) + length(&frame.file)
        };
        size_of::<Self>() + length(&self.name) + self.frames.iter().map(frame).sum::<usize>()
    }
}

/// How much of a stack is known, as a number.
pub(crate) const fn quality_raw(quality: StackQuality) -> u8 {
    match quality {
        StackQuality::Complete => 0,
        StackQuality::Truncated => 1,
        StackQuality::Missing => 2,
    }
}

/// The same in the other direction. An unknown number means that nothing is known.
pub(crate) const fn quality_from_raw(raw: u8) -> StackQuality {
    match raw {
        0 => StackQuality::Complete,
        1 => StackQuality::Truncated,
        _ => StackQuality::Missing,
    }
}
