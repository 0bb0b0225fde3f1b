//! The header of Go's tables: where the parts are in the file, and how bytes of them are read.
//!
//! Must not interpret the parts: the other files of this module do.

use crate::bytes::Bytes;
use std::ops::Range;

/// Longest name or path, in bytes. Names of generic functions can be very long.
const MAX_NAME: u64 = 4096;

/// The layout of a table, known by its magic number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layout {
    /// 1.16 and 1.17: functions have absolute addresses.
    Go116,
    /// 1.18 and 1.19: functions have offsets from the start of the code.
    Go118,
    /// 1.20 and later: shorter records of inlined calls, and the start line of a function.
    Go120,
}

/// A function at an address, as the tables describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Name with package path, as in `main.(*T).f`.
    pub name: String,
    /// Source file.
    pub file: Option<String>,
    /// Source line.
    pub line: Option<u32>,
}

/// The parts of a file's tables. Offsets are from the start of the header unless noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GoTable {
    pub(super) layout: Layout,
    /// From the start of the header to the end of the tables, as offsets in the file.
    pub(super) span: Range<u64>,
    /// Size of a pointer, in bytes.
    pub(super) pointer: u64,
    /// Size of the smallest instruction, in bytes: lengths of code are multiples of it.
    pub(super) quantum: u64,
    /// Number of functions.
    pub(super) functions: u64,
    /// Address of the start of the code, to which functions are relative; 0 where they are absolute.
    pub(super) text: u64,
    /// The parts: names, files of each compilation unit, paths, tables of values, functions.
    pub(super) names: u64,
    pub(super) units: u64,
    pub(super) files: u64,
    pub(super) values: u64,
    pub(super) table: u64,
    /// Offset in the file of function data; `None` when it was not found.
    pub(super) function_data: Option<u64>,
}

impl GoTable {
    /// Reads the header. It has the magic number, two zeros, the size of the smallest instruction and the size of a pointer;
    /// then, in words: number of functions, number of files, start of the code (not in 1.16), and the offsets of names, units,
    /// files, values and functions.
    pub(super) fn read_header(bytes: &Bytes, span: Range<u64>) -> Option<Self> {
        let head: [u8; 8] = bytes.array(span.start)?;
        let layout = Layout::of_magic(u32::from_le_bytes(*head.first_chunk()?))?;
        let [_, _, _, _, 0, 0, quantum @ (1 | 2 | 4), 8] = head else { return None };
        let word = |index: u64| Some(u64::from_le_bytes(bytes.array(span.start.checked_add(8 + index * 8)?)?));
        let first = if layout == Layout::Go116 { 2 } else { 3 };
        let len = span.end.checked_sub(span.start)?;
        let offset = |index: u64| word(first + index).filter(|offset| *offset < len);
        let table = Self {
            layout,
            pointer: 8,
            quantum: u64::from(quantum),
            functions: word(0)?,
            text: if layout == Layout::Go116 { 0 } else { word(2)? },
            names: offset(0)?,
            units: offset(1)?,
            files: offset(2)?,
            values: offset(3)?,
            table: offset(4)?,
            function_data: None,
            span,
        };
        // The linker writes the parts in this order, so other orders are refused.
        let parts = [table.names, table.units, table.files, table.values, table.table, len];
        let room = (len - table.table) / table.function_entry();
        (parts.is_sorted() && table.functions > 0 && table.functions < room).then_some(table)
    }

    /// Size of an entry in the list of functions.
    pub(super) fn function_entry(&self) -> u64 {
        match self.layout {
            Layout::Go116 => 2 * self.pointer,
            Layout::Go118 | Layout::Go120 => 8,
        }
    }

    pub(super) fn u32_at(&self, bytes: &Bytes, at: u64) -> Option<u32> {
        let offset = self.span.start.checked_add(at)?;
        let is_inside = offset.checked_add(4)? <= self.span.end;
        is_inside.then(|| bytes.array(offset).map(u32::from_le_bytes))?
    }

    pub(super) fn u64_at(&self, bytes: &Bytes, at: u64) -> Option<u64> {
        let low = u64::from(self.u32_at(bytes, at)?);
        Some(low | u64::from(self.u32_at(bytes, at.checked_add(4)?)?) << 32)
    }

    pub(super) fn text_at(&self, bytes: &Bytes, at: u64) -> Option<String> {
        let offset = self.span.start.checked_add(at)?;
        let room = self.span.end.checked_sub(offset)?.min(MAX_NAME);
        let mut text = Vec::new();
        let mut len = 64;
        loop {
            len = room.min(len);
            text.resize(usize::try_from(len).ok()?, 0);
            bytes.read(offset, &mut text)?;
            if let Some(end) = text.iter().position(|&byte| byte == 0) {
                text.truncate(end);
                return String::from_utf8(text).ok().filter(|text| !text.is_empty());
            }
            if len == room {
                return None;
            }
            len *= 4;
        }
    }
}

impl Layout {
    pub(super) fn of_magic(magic: u32) -> Option<Self> {
        match magic {
            0xffff_fffa => Some(Self::Go116),
            0xffff_fff0 => Some(Self::Go118),
            0xffff_fff1 => Some(Self::Go120),
            _ => None,
        }
    }
}
