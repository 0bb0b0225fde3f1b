//! The plain table that `top` prints every interval when it has no terminal.
//!
//! One line of totals, then the worst call sites; meant to be appended to a log.

use super::text::{callsite_table, totals_line};
use super::{Format, clean, layout};
use crate::units::Glyphs;
use leaktrace_model::snapshot::Snapshot;
use std::io::{self, Write};

/// As many call sites as a screen has room for.
const ROWS: usize = 20;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct PlainTable {
    /// Columns to stay within.
    pub columns: usize,
    /// Which characters to use.
    pub glyphs: Glyphs,
}

impl Default for PlainTable {
    fn default() -> Self {
        Self { columns: super::text::COLUMNS, glyphs: Glyphs::default() }
    }
}

impl Format for PlainTable {
    fn write(&self, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
        let totals = format!("{}  {}", clean(&snapshot.window.end), totals_line(snapshot));
        writeln!(out, "{}", layout::fit(&totals, self.columns, self.glyphs))?;
        if let Some(lost) = super::text::losses(snapshot) {
            writeln!(out, "{}", layout::fit(&format!("  lost: {lost}"), self.columns, self.glyphs))?;
        }
        callsite_table(snapshot, ROWS, self.columns, self.glyphs, out)?;
        writeln!(out)
    }
}
