//! A snapshot together with its index, shared.

use crate::rows::lens::Lens;
use crate::rows::snapshot_index::SnapshotIndex;
use leaktrace_model::Snapshot;
use std::sync::Arc;

/// A snapshot and its index. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    /// The snapshot.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Its index.
    pub(crate) index: Arc<SnapshotIndex>,
}

impl Data {
    /// Makes the index; see [`SnapshotIndex::of`] for the cost.
    pub(crate) fn of(snapshot: Arc<Snapshot>) -> Self {
        let index = Arc::new(SnapshotIndex::of(&snapshot));
        Self { snapshot, index }
    }

    /// Both, borrowed.
    pub(crate) fn lens(&self) -> Lens<'_> {
        Lens { snapshot: &self.snapshot, index: &self.index }
    }
}

impl PartialEq for Data {
    /// Whether both are the same snapshot in memory.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.snapshot, &other.snapshot)
    }
}
