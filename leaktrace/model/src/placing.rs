//! The trait that connects the tracer, which captures stacks, with the crate that knows the files behind them.
//!
//! The tracer hands over what its hooks captured as borrowed views: a copy of a stack has tens of kilobytes.

use crate::CallsiteStack;
use serde::{Deserialize, Serialize};

/// Most frames that are kept of a stack. `leaktrace-kernel` asserts that the kernel side agrees.
pub const MAX_FRAMES: usize = 126;

/// Which unwinder finds the callers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unwind {
    /// By frame pointers where a process keeps them, by unwind tables elsewhere.
    #[default]
    Auto,
    /// By frame pointers only.
    Fp,
    /// By unwind tables only.
    Dwarf,
}

/// How a walk by frame pointers ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChainEnd {
    /// With a null frame pointer, as at a thread's start.
    AtStart,
    /// With a frame pointer that leads nowhere, or backwards.
    Broken,
    /// After [`MAX_FRAMES`].
    TooDeep,
    /// There is no user stack to walk (a kernel thread such as an io_uring worker).
    NoUserStack,
}

/// What a hook found by frame pointers.
#[derive(Clone, Copy, Debug)]
pub struct FrameChain<'a> {
    /// User addresses. The first is where the thread entered the kernel, the others are return addresses.
    pub frames: &'a [u64],
    /// How the walk ended.
    pub ended: ChainEnd,
    /// The word at the user stack pointer if it points behind a call instruction, else 0. It is the return address of a
    /// leaf that has set up no frame; user space finds out whether the leaf has one.
    pub leaf_return: u64,
}

/// Registers and a copy of a user stack, for unwinding with tables.
#[derive(Clone, Copy, Debug)]
pub struct StackCopy<'a> {
    /// Instruction pointer.
    pub ip: u64,
    /// Stack pointer: address of the first byte of `bytes`.
    pub sp: u64,
    /// Frame-pointer register, with any content.
    pub bp: u64,
    /// The stack from `sp` upwards.
    pub bytes: &'a [u8],
}

/// A call site whose stack is to be placed.
#[derive(Clone, Copy, Debug)]
pub struct NewSite<'a> {
    /// Its index.
    pub callsite: u32,
    /// What the hook found by frame pointers.
    pub chain: FrameChain<'a>,
    /// The copy of its stack, if there is one yet.
    pub copy: Option<StackCopy<'a>>,
}

/// Places stacks of live processes: turns addresses into places in files.
pub trait Place {
    /// Places the stacks of new call sites of process `pid`. Its mappings are read once for all of them.
    fn place_all(&mut self, pid: u32, sites: &[NewSite<'_>]) -> Vec<CallsiteStack>;

    /// Reads the mappings of a process that has just started another program, for use after its end.
    fn note_process(&mut self, pid: u32);

    /// Drops what was not used since the last call; says whether there was anything.
    fn forget_unused(&mut self) -> bool;
}
