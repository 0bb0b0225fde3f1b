//! The header of Go's tables: where the parts are in the file, and how bytes of them are read.
//!
//! Only reads; what the parts mean is in the files beside this one.

use crate::bytes::Bytes;
use std::ops::Range;

/// Longest name or path, in bytes. Generic functions can have very long ones.
const MAX_NAME: u64 = 4096;

/// Which layout a table has, by its magic number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layout {
    /// 1.16 and 1.17: functions by absolute address.
    Go116,
    /// 1.18 and 1.19: functions by offset from the start of the code.
    Go118,
    /// 1.20 and later: other records of inlined calls, and the line at which a function starts.
    Go120,
}

/// A function as the tables know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Name with package path, as in `main.(*T).f`.
    pub name: String,
    /// Source file.
    pub file: Option<String>,
    /// Source line.
    pub line: Option<u32>,
}

/// Where the tables of a file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GoTable {
    pub(super) layout: Layout,
    /// In the file.
    pub(super) span: Range<u64>,
    pub(super) pointer: u64,
    pub(super) quantum: u64,
    pub(super) functions: u64,
    /// Start of the code, to which functions are relative; 0 where they are absolute.
    pub(super) text: u64,
    pub(super) names: u64,
    pub(super) units: u64,
    pub(super) files: u64,
    pub(super) values: u64,
    pub(super) table: u64,
    /// Where in the file function data starts; `None` when it could not be found out.
    pub(super) function_data: Option<u64>,
}

impl GoTable {
    /// Magic, two zeros, size of the smallest instruction, size of a pointer; then, as pointers: functions, files, start of
    /// the code (not in 1.16), and where names, units, files, values and functions are.
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
        // The linker writes the parts in this order.
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
