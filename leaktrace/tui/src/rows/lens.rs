//! A snapshot together with its index, borrowed.

use crate::rows::snapshot_index::SnapshotIndex;
use leaktrace_model::{Callsite, Process, Snapshot};

/// A snapshot and its index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lens<'a> {
    /// The snapshot.
    pub(crate) snapshot: &'a Snapshot,
    /// Its index.
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
