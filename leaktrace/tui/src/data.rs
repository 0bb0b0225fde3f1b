//! A snapshot together with what follows from it.

use super::facts::Facts;
use super::item::Lens;
use leaktrace_model::snapshot::Snapshot;
use std::sync::Arc;

/// What is shown. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Data {
    /// What is known.
    pub snapshot: Arc<Snapshot>,
    /// What follows.
    pub facts: Arc<Facts>,
}

impl Data {
    /// Derives what follows; see [`Facts::of`] for the cost.
    pub fn of(snapshot: Arc<Snapshot>) -> Self {
        let facts = Arc::new(Facts::of(&snapshot));
        Self { snapshot, facts }
    }

    /// Both, borrowed.
    pub fn lens(&self) -> Lens<'_> {
        Lens { snapshot: &self.snapshot, facts: &self.facts }
    }
}

impl PartialEq for Data {
    /// Whether both are the same snapshot in memory.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.snapshot, &other.snapshot)
    }
}
