//! A snapshot together with what was derived from it, borrowed.

use crate::rows::snapshot_index::SnapshotIndex;
use leaktrace_model::{Callsite, Process, Snapshot};

/// A snapshot with what was derived from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lens<'a> {
    /// What is known.
    pub(crate) snapshot: &'a Snapshot,
    /// What follows.
    pub(crate) index: &'a SnapshotIndex,
}

impl<'a> Lens<'a> {
    /// The process of that id.
    pub(crate) fn process(self, pid: u32) -> Option<&'a Process> {
        self.snapshot.processes.get(self.index.process(pid)?)
    }

    /// The call site of that id.
    pub(crate) fn callsite(self, id: u64) -> Option<&'a Callsite> {
        self.snapshot.callsites.get(self.index.callsite(id)?)
    }
}
