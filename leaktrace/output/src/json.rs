//! The JSON report: the snapshot field for field, streamed.
//!
//! The snapshot owns the structure; this file only decides where lines end. The schema is `schema/report.schema.json`.

use crate::clean::is_harmful;
use crate::writer::Format;
use leaktrace_model::Snapshot;
use serde::Serialize;
use serde_json::ser::Formatter;
use std::io::{self, Write};

/// The JSON Schema (draft 2020-12) of the JSON report.
pub const REPORT_SCHEMA: &str = include_str!("../schema/report.schema.json");

/// `--format json`
pub(crate) struct Json;

impl Format for Json {
    fn write(&self, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
        write_json(snapshot, out)
    }
}

/// Writes any value as one JSON object. Each member has a line of its own, and so has each element of a member that is a list: a
/// report of a million sockets can be searched and compared line by line. Streams.
///
/// # Errors
/// Those of `out`.
pub fn write_json<T: Serialize>(value: &T, out: &mut dyn Write) -> io::Result<()> {
    // serde_json writes token by token: without a buffer each token would be a call through the trait object.
    let mut buffered = io::BufWriter::with_capacity(1 << 16, &mut *out);
    let mut serializer = serde_json::Serializer::with_formatter(&mut buffered, Lines { depth: 0, empty: true });
    value.serialize(&mut serializer).map_err(io::Error::from)?;
    buffered.write_all(b"\n")?;
    buffered.flush()
}

/// Breaks lines in the outermost two levels only.
struct Lines {
    depth: u32,
    /// Whether the innermost list has no element so far.
    empty: bool,
}

impl Lines {
    fn break_line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        match self.depth {
            1 => out.write_all(b"\n  "),
            2 => out.write_all(b"\n    "),
            _ => Ok(()),
        }
    }

    fn close<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        match self.depth {
            0 => out.write_all(b"\n")?,
            1 if bracket == b"]" && !self.empty => out.write_all(b"\n  ")?,
            _ => {}
        }
        self.empty = false;
        out.write_all(bracket)
    }
}

impl Formatter for Lines {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        write_escaped(out, fragment)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.empty = true;
        out.write_all(b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.empty = false;
        if !first {
            out.write_all(b",")?;
        }
        self.break_line(out)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        out.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        if self.depth == 1 { self.break_line(out) } else { Ok(()) }
    }
}

/// Writes part of a string. JSON allows control characters beyond U+007F and characters that reorder or hide text as they are; a terminal
/// that shows the file obeys them. They are escaped, which means the same to every reader of JSON.
fn write_escaped<W: ?Sized + Write>(out: &mut W, fragment: &str) -> io::Result<()> {
    let mut plain = 0;
    for (at, harmful) in fragment.char_indices().filter(|(_, character)| is_harmful(*character)) {
        out.write_all(&fragment.as_bytes()[plain..at])?;
        for unit in harmful.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}")?;
        }
        plain = at + harmful.len_utf8();
    }
    out.write_all(&fragment.as_bytes()[plain..])
}

/// Any value as JSON in one line, with the same escapes.
///
/// # Errors
/// When the value cannot be serialized.
pub fn json_line<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut line, OneLine)).map_err(io::Error::from)?;
    Ok(line)
}

/// Breaks no lines.
struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        write_escaped(out, fragment)
    }
}

#[cfg(test)]
mod tests;
