//! Go's own tables of functions, files, lines and inlined calls, which `strip` does not take away (runtime/symtab.go,
//! cmd/link/internal/ld/pcln.go; Go 1.16 and later).
//!
//! The tables are read where they are, a few bytes at a time. Everything in them is checked before it is believed: what
//! does not hold together gives no name.

mod find;
mod function;
mod inline;
mod module_data;

use super::bytes::Bytes;
use super::elf::Elf;
use function::MAX_STEPS;
use std::ops::Range;

/// Longest name or path, in bytes. Generic functions can have very long ones.
const MAX_NAME: u64 = 4096;
/// Most calls that were merged into each other at one place.
const MAX_INLINED: usize = 64;

/// Which layout a table has, by its magic number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    /// 1.16 and 1.17: functions by absolute address.
    Go116,
    /// 1.18 and 1.19: functions by offset from the start of the code.
    Go118,
    /// 1.20 and later: other records of inlined calls, and the line at which a function starts.
    Go120,
}

/// A function as the tables know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Name with package path, as in `main.(*T).f`.
    pub name: String,
    /// Source file.
    pub file: Option<String>,
    /// Source line.
    pub line: Option<u32>,
}

/// What the tables say of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The function that was compiled, and before it those that were merged into it, innermost first.
    pub functions: Vec<Named>,
    /// Where the compiled function starts.
    pub entry: u64,
}

/// Where the tables of a file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoTable {
    layout: Layout,
    /// In the file.
    span: Range<u64>,
    pointer: u64,
    quantum: u64,
    functions: u64,
    /// Start of the code, to which functions are relative; 0 where they are absolute.
    text: u64,
    names: u64,
    units: u64,
    files: u64,
    values: u64,
    table: u64,
    /// Where in the file function data starts; `None` when it could not be found out.
    function_data: Option<u64>,
}

impl GoTable {
    /// Finds the tables of a file. `None` when it is not from Go, or nothing in it holds together.
    pub fn find(bytes: &Bytes, elf: &Elf) -> Option<Self> {
        if !elf.is_64 {
            return None;
        }
        let mut left = module_data::MAX_SEARCH;
        find::candidates(bytes, elf).into_iter().find_map(|span| Self::open(bytes, elf, span, &mut left))
    }

    fn open(bytes: &Bytes, elf: &Elf, span: Range<u64>, left: &mut u64) -> Option<Self> {
        let mut table = Self::read_header(bytes, span)?;
        let module = module_data::find(bytes, elf, &table, left);
        table.text = match table.layout {
            Layout::Go116 => 0,
            Layout::Go118 | Layout::Go120 => find::text(bytes, elf, &table, module.as_ref())?,
        };
        // Whatever said so, the addresses must be code.
        let first = table.entry(bytes, 0)?;
        let last = table.entry(bytes, table.functions)?;
        let is_code = |vaddr: u64| {
            let holds = |from: u64, len: u64| vaddr.checked_sub(from).is_some_and(|at| at < len);
            elf.segments.iter().any(|segment| segment.executable && holds(segment.vaddr, segment.filesz))
        };
        if first >= last || !is_code(first) || !is_code(last.checked_sub(1)?) {
            return None;
        }
        table.function_data = module.and_then(|module| inline::find_data(bytes, elf, &table, &module));
        Some(table)
    }

    /// Magic, two zeros, size of the smallest instruction, size of a pointer; then, as pointers: functions, files, start of
    /// the code (not in 1.16), and where names, units, files, values and functions are.
    fn read_header(bytes: &Bytes, span: Range<u64>) -> Option<Self> {
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

    /// What the tables say of an address; `None` for one that is not in a Go function.
    pub fn place(&self, bytes: &Bytes, vaddr: u64) -> Option<Place> {
        let function = self.function(bytes, vaddr)?;
        let functions = self.named(bytes, &function, vaddr)?;
        Some(Place { functions, entry: function.entry })
    }

    /// Bytes between the stack pointer and the return address at an address. `None` for what is not a Go function, and for
    /// functions that change stacks.
    pub fn frame_size(&self, bytes: &Bytes, vaddr: u64) -> Option<u64> {
        let function = self.function(bytes, vaddr)?;
        let name = self.name(bytes, function.name)?;
        if CHANGES_STACK.contains(&bare(&name)) {
            return None;
        }
        let mut steps = MAX_STEPS;
        u64::try_from(self.value(bytes, &function, function.stack, vaddr, &mut steps)?).ok()
    }

    /// Whether a goroutine or a thread starts in the function at an address.
    pub fn is_root(&self, bytes: &Bytes, vaddr: u64) -> bool {
        let name = self.function(bytes, vaddr).and_then(|function| self.name(bytes, function.name));
        name.is_some_and(|name| ROOTS.contains(&bare(&name)) || name.starts_with("_rt0_"))
    }

    /// Addresses of about `count` functions, spread evenly.
    pub fn sample(&self, bytes: &Bytes, count: usize) -> Vec<u64> {
        let step = usize::try_from(self.functions).unwrap_or(usize::MAX).div_ceil(count.max(1)).max(1);
        (0..self.functions).step_by(step).filter_map(|number| self.entry(bytes, number)).collect()
    }

    fn u32_at(&self, bytes: &Bytes, at: u64) -> Option<u32> {
        let offset = self.span.start.checked_add(at)?;
        let is_inside = offset.checked_add(4)? <= self.span.end;
        is_inside.then(|| bytes.array(offset).map(u32::from_le_bytes))?
    }

    fn text_at(&self, bytes: &Bytes, at: u64) -> Option<String> {
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
    fn of_magic(magic: u32) -> Option<Self> {
        match magic {
            0xffff_fffa => Some(Self::Go116),
            0xffff_fff0 => Some(Self::Go118),
            0xffff_fff1 => Some(Self::Go120),
            _ => None,
        }
    }
}

/// Where a goroutine or a thread starts.
const ROOTS: [&str; 4] = ["runtime.goexit", "runtime.mstart", "runtime.rt0_go", "runtime.clone"];

/// Above these frames another stack goes on.
const CHANGES_STACK: [&str; 7] = [
    "runtime.systemstack",
    "runtime.mcall",
    "runtime.morestack",
    "runtime.asmcgocall",
    "runtime.cgocallback",
    "runtime.sigtramp",
    "runtime.sigreturn__sigaction",
];

/// A name without the mark of its calling convention.
fn bare(name: &str) -> &str {
    name.strip_suffix(".abi0").unwrap_or(name)
}

#[cfg(test)]
mod tests;
