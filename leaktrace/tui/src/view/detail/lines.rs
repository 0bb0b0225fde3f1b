//! Lines of pieces of clean text, for what is longer than the screen.

use crate::text::wrap;
use crate::theme::Role;

/// One line.
pub(crate) type Line = Vec<(String, Role)>;

/// Several lines.
pub(crate) type Lines = Vec<Line>;

/// A line of one piece.
pub(crate) fn line(text: impl Into<String>, role: Role) -> Line {
    vec![(text.into(), role)]
}

/// Lines of a text that is wrapped, each after an indent.
pub(crate) fn wrapped(text: &str, indent: usize, cells: usize, role: Role) -> impl Iterator<Item = Line> {
    let pad = " ".repeat(indent);
    wrap(text, cells.saturating_sub(indent)).into_iter().map(move |part| line(format!("{pad}{part}"), role))
}

/// Appends a block after an empty line. An empty block adds nothing.
pub(crate) fn join(all: &mut Lines, block: Lines) {
    if !all.is_empty() && !block.is_empty() {
        all.push(Line::new());
    }
    all.extend(block);
}
