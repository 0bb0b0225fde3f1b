//! What the tracer and the namer say to each other.
//!
//! Each end numbers modules as it likes and defines those that the other end does not know yet.

use crate::work::{Refusals, Subject};
use leaktrace_model::{
    CallsiteStack, ChainEnd, Frame, FrameChain, Location, Module, ModuleId, Modules, NewSite, Role, StackCopy,
    StackQuality, StackReason, Unwind, WalkEnd,
};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// From the tracer to the namer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// The first message.
    Hello {
        /// Which unwinder finds callers.
        unwind: Unwind,
        /// Bytes of memory for tables of symbols.
        table_bytes: usize,
        /// What is not to be read.
        refusals: Box<Refusals>,
    },
    /// Places the stacks of new call sites of a process. Answered by [`Response::Placed`].
    Place {
        /// The process.
        pid: u32,
        /// Their call sites.
        sites: Vec<Site>,
    },
    /// Reads the mappings of a process for later. Not answered.
    Note {
        /// The process.
        pid: u32,
    },
    /// Names places. Answered by [`Response::Named`].
    Name {
        /// Modules that were not defined before.
        modules: Vec<(u32, Module)>,
        /// The places, and what each is.
        places: Vec<(WireLocation, bool)>,
    },
    /// Drops what was not used since the last time. Answered by [`Response::Forgotten`].
    Forget,
}

/// From the namer to the tracer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Response {
    /// The namer is about to read this, and works on it until it says something else; `None` for nothing. Comes before an answer.
    Works(Option<Subject>),
    /// The stacks of a request, in its order.
    Placed {
        /// Modules that were not defined before.
        modules: Vec<(u32, Module)>,
        /// One stack for each site.
        stacks: Vec<WireStack>,
    },
    /// The frames of each place, innermost first; `None` where the file could not be read now.
    Named(Vec<Option<Vec<Frame>>>),
    /// Whether there was anything to drop.
    Forgotten(bool),
}

/// See [`NewSite`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Site {
    callsite: u32,
    frames: Vec<u64>,
    ended: ChainEnd,
    leaf_return: u64,
    copy: Option<Copy>,
}

/// See [`StackCopy`].
#[derive(Debug, Serialize, Deserialize)]
struct Copy {
    registers: [u64; 3],
    bytes: Vec<u8>,
}

impl Site {
    /// For sending.
    pub(crate) fn of(site: &NewSite<'_>) -> Self {
        let NewSite { callsite, chain: FrameChain { frames, ended, leaf_return }, copy } = *site;
        let copy = copy.map(|copy| Copy { registers: [copy.ip, copy.sp, copy.bp], bytes: copy.bytes.to_vec() });
        Self { callsite, frames: frames.to_vec(), ended, leaf_return, copy }
    }

    /// As it was sent.
    pub(crate) fn view(&self) -> NewSite<'_> {
        let Self { callsite, ref frames, ended, leaf_return, ref copy } = *self;
        let copy =
            copy.as_ref().map(|Copy { registers: [ip, sp, bp], bytes }| StackCopy { ip: *ip, sp: *sp, bp: *bp, bytes });
        NewSite { callsite, chain: FrameChain { frames, ended, leaf_return }, copy }
    }
}

/// See [`Location`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireLocation {
    address: u64,
    module: Option<u32>,
    offset: u64,
    name: Option<Box<str>>,
}

/// Whether a place is a return address.
pub(crate) fn role_of(is_return: bool) -> Role {
    if is_return { Role::Return } else { Role::Leaf }
}

/// See [`CallsiteStack`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireStack {
    callsite: u32,
    locations: Vec<WireLocation>,
    quality: StackQuality,
    reason: Option<Reason>,
}

/// Reasons that placing can give; see [`StackReason`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Reason {
    KernelThread,
    Unreadable,
    Exited,
    NoCopy,
    NoFramePointers,
    Walk(WalkEnd),
}

impl Reason {
    fn of(reason: &StackReason) -> Option<Self> {
        Some(match reason {
            StackReason::KernelThread => Self::KernelThread,
            StackReason::Unreadable => Self::Unreadable,
            StackReason::Exited => Self::Exited,
            StackReason::NoCopy => Self::NoCopy,
            StackReason::NoFramePointers => Self::NoFramePointers,
            StackReason::Walk(end) => Self::Walk(*end),
            // Not made by placing.
            StackReason::NotSampled { .. } | StackReason::NotPlaced | StackReason::Recorded { .. } => return None,
        })
    }

    fn reason(self) -> StackReason {
        match self {
            Self::KernelThread => StackReason::KernelThread,
            Self::Unreadable => StackReason::Unreadable,
            Self::Exited => StackReason::Exited,
            Self::NoCopy => StackReason::NoCopy,
            Self::NoFramePointers => StackReason::NoFramePointers,
            Self::Walk(end) => StackReason::Walk(end),
        }
    }
}

/// What one end knows of the other end's modules, and which of its own it has defined there.
#[derive(Debug, Default)]
pub(crate) struct Translation {
    own: HashMap<u32, Option<ModuleId>>,
    defined: HashSet<u32>,
}

impl Translation {
    /// Takes in the other end's definitions.
    pub(crate) fn learn(&mut self, modules: &Modules, definitions: Vec<(u32, Module)>) {
        for (id, module) in definitions {
            self.own.insert(id, modules.intern(module));
        }
    }

    /// Definitions that the other end needs for these locations.
    pub(crate) fn define<'a>(
        &mut self,
        modules: &Modules,
        locations: impl Iterator<Item = &'a Location>,
    ) -> Vec<(u32, Module)> {
        let unknown = locations.filter_map(|location| location.module).filter(|id| self.defined.insert(id.0));
        unknown.filter_map(|id| Some((id.0, modules.get(id)?.as_ref().clone()))).collect()
    }

    /// A location of the other end.
    pub(crate) fn location(&self, wire: WireLocation) -> Location {
        let WireLocation { address, module, offset, name } = wire;
        let module = module.and_then(|id| self.own.get(&id).copied().flatten());
        Location { address, module, offset, name }
    }

    /// A stack of the other end.
    pub(crate) fn stack(&self, wire: WireStack) -> CallsiteStack {
        let WireStack { callsite, locations, quality, reason } = wire;
        let locations = locations.into_iter().map(|location| self.location(location)).collect();
        CallsiteStack { callsite, locations, quality, reason: reason.map(Reason::reason) }
    }
}

impl WireLocation {
    /// For sending.
    pub(crate) fn of(location: &Location) -> Self {
        let Location { address, module, offset, ref name } = *location;
        Self { address, module: module.map(|id| id.0), offset, name: name.clone() }
    }
}

impl WireStack {
    /// For sending.
    pub(crate) fn of(stack: &CallsiteStack) -> Self {
        let CallsiteStack { callsite, ref locations, quality, ref reason } = *stack;
        let locations = locations.iter().map(WireLocation::of).collect();
        Self { callsite, locations, quality, reason: reason.as_ref().and_then(Reason::of) }
    }
}
