//! What all parts of the text report share: its width, headings, paragraphs, the lines of a stack.

use crate::{
    callsite_name::arrow,
    clean::clean,
    layout::{wrap, wrap_words},
    naming::frame_with_place,
};
use leaktrace_model::{Age, Callsite, Glyphs, StackQuality, format_age, format_counted};
use std::io::{self, Write};

/// No line is wider.
pub(crate) const COLUMNS: usize = 100;
/// Tickets show every character.
pub(crate) const GLYPHS: Glyphs = Glyphs::Unicode;

/// A heading on a line of its own, apart from what is above.
pub(crate) fn heading(title: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n{title}")
}

/// Wraps text at spaces into indented lines.
pub(crate) fn paragraph(text: &str, indent: usize, out: &mut dyn Write) -> io::Result<()> {
    for line in wrap_words(text, COLUMNS - indent, GLYPHS) {
        writeln!(out, "{:indent$}{line}", "")?;
    }
    Ok(())
}

/// Says how many are not listed; nothing when all are.
pub(crate) fn more(total: usize, listed: usize, what: &str, out: &mut dyn Write) -> io::Result<()> {
    if total > listed {
        writeln!(out, "  and {} more; --format json lists them all", format_counted((total - listed) as u64, what))?;
    }
    Ok(())
}

/// The whole stack, leaf first, and why it is not complete.
pub(crate) fn stack(site: &Callsite, out: &mut dyn Write) -> io::Result<()> {
    let mut parts: Vec<String> = site.stack.iter().map(frame_with_place).collect();
    let reason =
        site.stack_reason.as_ref().map(|reason| format!(": {}", clean(&reason.to_string()))).unwrap_or_default();
    match site.stack_quality {
        StackQuality::Complete => {}
        StackQuality::Truncated => parts.push(format!("[callers unknown{reason}]")),
        StackQuality::Missing => parts.push(format!("[no stack{reason}]")),
    }
    for line in wrap(&parts, arrow(GLYPHS), COLUMNS - 5, GLYPHS) {
        writeln!(out, "     {line}")?;
    }
    Ok(())
}

/// An age, with `≥` where it is a lower bound.
pub(crate) fn age(seconds: f64, exact: bool) -> String {
    format_age(Age { seconds, exact }, GLYPHS)
}
