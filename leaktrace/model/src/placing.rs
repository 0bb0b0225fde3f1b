//! Where what reads stacks and what knows the files behind them meet: a tracer hands over what its hooks captured and gets
//! places in files back.

use crate::sample::CallsiteStack;
use leaktrace_common::{StackCapture, StackEntry};

/// Which unwinder names the callers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unwind {
    /// By frame pointers where a process keeps them, by unwind tables elsewhere.
    #[default]
    Auto,
    /// By frame pointers only.
    Fp,
    /// By unwind tables only.
    Dwarf,
}

/// A call site whose stack is to be placed.
pub struct NewSite {
    /// Its index.
    pub callsite: u32,
    /// What the hook found by frame pointers.
    pub entry: StackEntry,
    /// The copy of its stack, if there is one by now.
    pub copy: Option<Box<StackCapture>>,
}

/// Places stacks of live processes.
pub trait Place {
    /// Places the stacks of new call sites of process `tgid`, which share one reading of its mappings.
    fn place_all(&mut self, tgid: u32, sites: Vec<NewSite>) -> Vec<CallsiteStack>;

    /// Reads the mappings of a process that has just come to run another program, for when it is gone.
    fn note_process(&mut self, pid: u32);

    /// Drops what placing has not needed since the last call; says whether there was anything.
    fn forget_unused(&mut self) -> bool;
}
