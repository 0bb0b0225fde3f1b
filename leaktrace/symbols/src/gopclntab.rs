//! Go's own tables of functions, files, lines and inlined calls (runtime/symtab.go, cmd/link/internal/ld/pcln.go; Go 1.16 and
//! later). `strip` does not remove them.
//!
//! The tables are read in place, a few bytes at a time. Everything is checked before it is used: data that contradicts itself
//! gives no name.

mod find;
mod function;
mod inline;
mod module_data;
mod table;

pub(crate) use table::{GoTable, Named};

use super::bytes::Bytes;
use super::elf::Elf;
use function::MAX_STEPS;
use std::ops::Range;
use table::Layout;

/// The functions at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Inlined functions, innermost first, then the compiled function that contains them.
    pub functions: Vec<Named>,
    /// Address at which the compiled function starts.
    pub entry: u64,
}

impl GoTable {
    /// Finds the tables of a file. `None` when it is not a Go program, or its tables fail the checks.
    pub(crate) fn find(bytes: &Bytes, elf: &Elf) -> Option<Self> {
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
        // The functions' addresses must be in executable segments, whichever source gave the start of the code.
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

    /// The functions at an address; `None` when it is not in a Go function.
    pub(crate) fn place(&self, bytes: &Bytes, vaddr: u64) -> Option<Place> {
        let function = self.function(bytes, vaddr)?;
        let functions = self.named(bytes, &function, vaddr)?;
        Some(Place { functions, entry: function.entry })
    }

    /// Bytes between the stack pointer and the return address while an address executes. `None` when it is not in a Go
    /// function, and for functions that switch stacks.
    pub(crate) fn frame_size(&self, bytes: &Bytes, vaddr: u64) -> Option<u64> {
        let function = self.function(bytes, vaddr)?;
        let name = self.name(bytes, function.name)?;
        if CHANGES_STACK.contains(&bare(&name)) {
            return None;
        }
        let mut steps = MAX_STEPS;
        u64::try_from(self.value(bytes, &function, function.stack, vaddr, &mut steps)?).ok()
    }

    /// Whether an address is in a function in which a goroutine or a thread starts.
    pub(crate) fn is_root(&self, bytes: &Bytes, vaddr: u64) -> bool {
        let name = self.function(bytes, vaddr).and_then(|function| self.name(bytes, function.name));
        name.is_some_and(|name| ROOTS.contains(&bare(&name)) || name.starts_with("_rt0_"))
    }

    /// Start addresses of about `count` functions, spread evenly.
    pub(crate) fn sample(&self, bytes: &Bytes, count: usize) -> Vec<u64> {
        let step = usize::try_from(self.functions).unwrap_or(usize::MAX).div_ceil(count.max(1)).max(1);
        (0..self.functions).step_by(step).filter_map(|number| self.entry(bytes, number)).collect()
    }
}

/// Functions in which a goroutine or a thread starts.
const ROOTS: [&str; 4] = ["runtime.goexit", "runtime.mstart", "runtime.rt0_go", "runtime.clone"];

/// Functions that switch stacks: their callers are on another stack.
const CHANGES_STACK: [&str; 7] = [
    "runtime.systemstack",
    "runtime.mcall",
    "runtime.morestack",
    "runtime.asmcgocall",
    "runtime.cgocallback",
    "runtime.sigtramp",
    "runtime.sigreturn__sigaction",
];

/// A name without the suffix of its calling convention.
fn bare(name: &str) -> &str {
    name.strip_suffix(".abi0").unwrap_or(name)
}

#[cfg(test)]
mod tests;
