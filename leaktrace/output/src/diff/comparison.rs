//! The comparison itself: both reports, and what became of each call site.

use super::{
    change::{Change, ChangeKind, DiffOptions},
    matching::pair,
    read::Report,
    signature::signatures,
};

/// Two reports side by side.
#[derive(Debug)]
pub struct Diff {
    /// The baseline.
    pub old: Report,
    /// What is compared with it.
    pub new: Report,
    /// All call sites of both, worst first; those that are much the same come last.
    pub changes: Vec<Change>,
}

impl Diff {
    /// Compares two reports.
    pub fn of(old: Report, new: Report, options: &DiffOptions) -> Self {
        let signatures = signatures(&old.callsites, &new.callsites);
        let groups = pair(&signatures.old, &signatures.new, &signatures.names);
        let mut changes: Vec<Change> =
            groups.into_iter().map(|group| Change::of(&group, &old.callsites, &new.callsites, options)).collect();
        changes.sort_by(Change::worse_first);
        Self { old, new, changes }
    }

    /// How many call sites changed in this way.
    pub fn count(&self, kind: ChangeKind) -> usize {
        self.changes.iter().filter(|change| change.kind == kind).count()
    }

    /// Whether a call site changed in one of those ways: what `--fail-on` asks.
    pub fn fails_on(&self, kinds: &[ChangeKind]) -> bool {
        self.changes.iter().any(|change| kinds.contains(&change.kind))
    }
}
