//! The plain table that `top` prints at every interval when it has no terminal: one line of totals, then the worst call sites.
//!
//! Made to be appended to a log.

use crate::{
    layout,
    text::{COLUMNS, callsite_table, losses, totals_line},
    writer::Format,
};
use leaktrace_model::{Glyphs, Snapshot};
use std::io::{self, Write};

/// Most call sites: as many as fit on a screen.
const ROWS: usize = 20;

/// The plain table of `top`.
#[derive(Clone, Copy, Debug)]
pub struct PlainTable {
    /// Columns to stay within.
    pub columns: usize,
    /// Which characters to use.
    pub glyphs: Glyphs,
}

impl Default for PlainTable {
    fn default() -> Self {
        Self { columns: COLUMNS, glyphs: Glyphs::default() }
    }
}

impl Format for PlainTable {
    fn write(&self, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
        let totals = format!("{}  {}", snapshot.window.end, totals_line(snapshot));
        writeln!(out, "{}", layout::fit(&totals, self.columns, self.glyphs))?;
        if let Some(lost) = losses(snapshot) {
            writeln!(out, "{}", layout::fit(&format!("  lost: {lost}"), self.columns, self.glyphs))?;
        }
        callsite_table(snapshot, ROWS, self.columns, self.glyphs, out)?;
        writeln!(out)
    }
}
