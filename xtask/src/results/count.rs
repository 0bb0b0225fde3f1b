//! How many cells passed, failed and were skipped, and how that is written.

use std::fmt;

use super::cell::{Cell, CellResult};

/// Sums over cells.
#[derive(Default, Clone, Copy)]
pub struct Count {
    /// As they should be.
    pub passed: usize,
    /// Not as they should be.
    pub failed: usize,
    /// Could not run, as expected.
    pub skipped: usize,
    /// Could not run, which was not expected and counts as failure.
    pub unexpected: usize,
}

impl Count {
    /// Sums over these cells.
    pub fn of<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Self {
        let mut count = Self::default();
        cells.into_iter().for_each(|cell| count.add(cell));
        count
    }

    /// Adds one cell.
    pub fn add(&mut self, cell: &Cell) {
        match cell.result {
            CellResult::Pass => self.passed += 1,
            CellResult::Fail(_) => self.failed += 1,
            CellResult::Skip(_) => self.skipped += 1,
            CellResult::UnexpectedSkip(_) => self.unexpected += 1,
        }
    }

    /// Both sums in one.
    pub fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
            unexpected: self.unexpected + other.unexpected,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self { failed: 0, unexpected: 0, passed: 0, skipped: 0 } => return f.write_str("FAIL (nothing ran)"),
            Self { failed: 0, unexpected: 0, passed: 0, .. } => "SKIP",
            Self { failed: 0, unexpected: 0, .. } => "PASS",
            _ => "FAIL",
        };
        write!(f, "{word} {}", self.passed)?;
        let others = [("failed", self.failed), ("skipped", self.skipped), ("unexpected", self.unexpected)];
        others.iter().filter(|(_, number)| *number > 0).try_for_each(|(what, number)| write!(f, ", {number} {what}"))
    }
}
