//! Two JSON reports compared call site by call site: the canary check.
//!
//! Call sites are matched by the names of the functions on their stacks, by direction and by program, never by
//! addresses or ids, so that reports of other hosts, after restarts and after rebuilds compare. Works on files
//! only; it watches nothing.

mod alike;
mod change;
mod json;
mod matching;
mod name;
mod read;
mod signature;
mod text;

pub use change::{Change, ChangeKind, DiffOptions, Numbers};
pub use read::{ReadError, Report, read_report};

use matching::pair;
use signature::signatures;
use std::io::{self, Write};

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

    /// How many call sites changed in that way.
    pub fn count(&self, kind: ChangeKind) -> usize {
        self.changes.iter().filter(|change| change.kind == kind).count()
    }

    /// Whether a call site changed in one of those ways: what `--fail-on` asks.
    pub fn fails_on(&self, kinds: &[ChangeKind]) -> bool {
        self.changes.iter().any(|change| kinds.contains(&change.kind))
    }

    /// Writes it for people, within 100 columns.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        text::write(self, out)
    }

    /// Writes it as one JSON object.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        json::write(self, out)
    }
}

#[cfg(test)]
mod tests;
