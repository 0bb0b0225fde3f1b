//! Calls that Go's compiler inlined.

use super::function::{Function, MAX_STEPS};
use super::module_data::ModuleData;
use super::table::{GoTable, Layout, Named};
use crate::{bytes::Bytes, elf::Elf};

/// `PCDATA_InlTreeIndex` and `FUNCDATA_InlTree` (internal/abi/symtab.go), the same since 1.12.
const INDEX: u32 = 2;
const TREE: u8 = 3;

/// Functions with inlined calls that are used to check an address of function data. All their records must be valid there.
const PROOFS: usize = 24;
/// Most steps through tables of values to find these functions.
const PROOF_STEPS: usize = 4 * MAX_STEPS;

/// Most inlined calls at one address.
const MAX_INLINED: usize = 64;

/// An inlined call.
pub(super) struct Call {
    /// Name of the called function.
    pub name: String,
    /// An address that has the file and line of the call.
    pub caller: u64,
}

impl GoTable {
    /// The functions at an address, innermost first. If the records of inlined calls cannot be read, the line may belong to
    /// another function, so only the name of the compiled function is given.
    pub(super) fn named(&self, bytes: &Bytes, function: &Function, vaddr: u64) -> Option<Vec<Named>> {
        let name = shown(self.name(bytes, function.name)?);
        let mut steps = MAX_STEPS;
        let Some(merged) = self.inlined(bytes, function, vaddr, &mut steps) else {
            return Some(vec![Named { name, file: None, line: None }]);
        };
        let mut pc = vaddr;
        let mut functions = Vec::new();
        for call in merged {
            let (file, line) = self.line(bytes, function, pc, &mut steps);
            functions.push(Named { name: shown(call.name), file, line });
            pc = call.caller;
        }
        let (file, line) = self.line(bytes, function, pc, &mut steps);
        functions.push(Named { name, file, line });
        Some(functions)
    }

    /// The inlined calls at an address, innermost first; empty when there are none. `None` when they cannot be read.
    pub(super) fn inlined(
        &self,
        bytes: &Bytes,
        function: &Function,
        vaddr: u64,
        steps: &mut usize,
    ) -> Option<Vec<Call>> {
        let mut calls = Vec::new();
        let mut pc = vaddr;
        while let Some(index) = self.index(bytes, function, pc, steps) {
            let call = self.record(bytes, function, self.function_data?, index)?;
            pc = call.caller;
            calls.push(call);
            if calls.len() > MAX_INLINED {
                return None;
            }
        }
        // When the steps ran out, the list is not complete.
        (*steps > 0).then_some(calls)
    }

    /// Number of the inlined call that contains an address.
    fn index(&self, bytes: &Bytes, function: &Function, vaddr: u64, steps: &mut usize) -> Option<u64> {
        let (start, count) = function.tables;
        let table = (INDEX < count).then(|| self.u32_at(bytes, start.checked_add(u64::from(INDEX) * 4)?))??;
        u64::try_from(self.value(bytes, function, table, vaddr, steps)?).ok()
    }

    /// Reads the record of an inlined call, if function data starts at `data`. `None` when the record is not valid.
    fn record(&self, bytes: &Bytes, function: &Function, data: u64, index: u64) -> Option<Call> {
        let (start, count) = function.tables;
        if function.data <= TREE {
            return None;
        }
        let at = start.checked_add(u64::from(count) * 4)?.checked_add(u64::from(TREE) * 4)?;
        let offset = self.u32_at(bytes, at).filter(|offset| *offset != u32::MAX)?;
        let tree = data.checked_add(u64::from(offset))?;
        let word = |at: u64, number: u64| bytes.array(at.checked_add(number * 4)?).map(i32::from_le_bytes);
        let (name, caller) = match self.layout {
            // parent, kind, file, line, name, offset of the call
            Layout::Go116 | Layout::Go118 => {
                let record = tree.checked_add(index.checked_mul(20)?)?;
                (word(record, 3)?, word(record, 4)?)
            }
            // kind, name, offset of the call, start line of the function
            Layout::Go120 => {
                let record = tree.checked_add(index.checked_mul(16)?)?;
                if word(record, 0)? >> 8 != 0 {
                    return None;
                }
                (word(record, 1)?, word(record, 2)?)
            }
        };
        let name = self.name(bytes, u64::try_from(name).ok()?)?;
        let caller = function.entry.checked_add(u64::try_from(caller).ok()?)?;
        (caller < function.end).then_some(Call { name, caller })
    }
}

/// Offset in the file at which function data starts. Its field in the module data moves between Go versions, so every word
/// after the code's bounds is tried, and taken if the records of all sampled functions are valid there.
pub(super) fn find_data(bytes: &Bytes, elf: &Elf, table: &GoTable, module: &ModuleData) -> Option<u64> {
    if table.layout == Layout::Go116 {
        // These versions use absolute addresses. Not supported: no such compiler was available for a test.
        return None;
    }
    let proofs = proofs(bytes, table);
    let enough = proofs.len() >= PROOFS / 2;
    let sound =
        |data: &u64| proofs.iter().all(|(function, index)| table.record(bytes, function, *data, *index).is_some());
    let mut candidates = module.behind_text.iter().filter_map(|vaddr| elf.offset_of(*vaddr));
    if enough { candidates.find(sound) } else { None }
}

/// Functions with inlined calls, spread over the program, each with the number of one of its calls.
fn proofs(bytes: &Bytes, table: &GoTable) -> Vec<(Function, u64)> {
    let step = (table.functions / 4096).max(1);
    let mut found = Vec::new();
    let mut number = 0;
    let mut steps = PROOF_STEPS;
    while number < table.functions && found.len() < PROOFS && steps > 0 {
        if let Some(function) = table.function_at(bytes, number)
            && function.data > TREE
        {
            let places = (function.entry..function.end).step_by(16).take(64);
            let index = places.filter_map(|vaddr| table.index(bytes, &function, vaddr, &mut steps)).max();
            found.extend(index.map(|index| (function, index)));
        }
        number += step;
    }
    found
}

/// A generic function's name as Go's own stack traces show it: `f[...]` instead of the compiler's `f[go.shape.int]`.
fn shown(name: String) -> String {
    match (name.find('['), name.rfind(']')) {
        (Some(open), Some(close)) if open < close => format!("{}[...]{}", &name[..open], &name[close + 1..]),
        _ => name,
    }
}
