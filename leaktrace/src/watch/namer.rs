//! Adds names to the frames of a snapshot.

use leaktrace_model::{Frame, Location, Resolve, Sample, Snapshot};
use leaktrace_track::Tracker;

use std::hash::{DefaultHasher, Hash, Hasher};

/// Names frames with a resolver.
pub(crate) struct Namer<R> {
    names: R,
}

impl<R: Resolve> Namer<R> {
    /// A namer that uses `names`.
    pub(crate) fn new(names: R) -> Self {
        Self { names }
    }

    /// The resolver.
    pub(crate) fn names_mut(&mut self) -> &mut R {
        &mut self.names
    }

    /// Tracks a sample, and merges call sites that have the same names.
    pub(crate) fn ingest(&mut self, tracker: &mut Tracker, sample: Sample) {
        tracker.ingest(sample);
        tracker.unite_by_name(|stack| self.identity(stack));
    }

    /// The current snapshot, with names.
    pub(crate) fn snapshot(&mut self, tracker: &Tracker) -> Snapshot {
        let mut snapshot = tracker.snapshot();
        for site in &mut snapshot.callsites {
            site.stack = self.names.resolve(tracker.stack_of(site.id)).into_iter().flatten().collect();
        }
        snapshot
    }

    /// A number that is equal for stacks whose frames have the same names and lines; `None` for a stack without any name.
    fn identity(&mut self, stack: &[Location]) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        let mut named = false;
        for frame in self.names.resolve(stack).into_iter().flatten() {
            let Frame { symbol, module, file, line, offset, .. } = frame;
            named |= symbol.is_some();
            // Without a name, the offset counts.
            let place = if symbol.is_none() { offset } else { None };
            (symbol, module, file, line, place).hash(&mut hasher);
        }
        named.then(|| hasher.finish())
    }
}
