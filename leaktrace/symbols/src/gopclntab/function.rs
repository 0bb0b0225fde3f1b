//! One function in Go's tables: its addresses, its name, and the values that change along its code.

use super::table::{GoTable, Layout};
use crate::bytes::Bytes;

/// Most steps through tables of values for one address. The longest functions need about ten thousand in each table.
pub(super) const MAX_STEPS: usize = 1 << 19;

/// The fields of the runtime's `_func` that are used here.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub entry: u64,
    pub end: u64,
    /// Offset of the name.
    pub name: u64,
    /// Offsets of the tables of values: stack, file, line. 0 means none.
    pub stack: u32,
    pub file: u32,
    pub line: u32,
    /// Index of the first file of its compilation unit.
    pub unit: u32,
    /// Offset of the list of further tables, and their number.
    pub tables: (u64, u32),
    /// Number of function data entries after that list.
    pub data: u8,
}

impl GoTable {
    /// Start address of a function by its number. The entry after the last is the end of the code.
    pub(super) fn entry(&self, bytes: &Bytes, index: u64) -> Option<u64> {
        let at = self.table.checked_add(index.checked_mul(self.function_entry())?)?;
        match self.layout {
            Layout::Go116 => {
                let low = u64::from(self.u32_at(bytes, at)?);
                Some(low | u64::from(self.u32_at(bytes, at + 4)?) << 32)
            }
            Layout::Go118 | Layout::Go120 => self.text.checked_add(u64::from(self.u32_at(bytes, at)?)),
        }
    }

    /// The function that contains an address.
    pub(super) fn function(&self, bytes: &Bytes, vaddr: u64) -> Option<Function> {
        let (mut low, mut high) = (0, self.functions);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(bytes, middle)? <= vaddr { low = middle + 1 } else { high = middle }
        }
        let function = self.function_at(bytes, low.checked_sub(1)?)?;
        (function.entry..function.end).contains(&vaddr).then_some(function)
    }

    /// A function by its number.
    pub(super) fn function_at(&self, bytes: &Bytes, index: u64) -> Option<Function> {
        let entry = self.entry(bytes, index)?;
        let end = self.entry(bytes, index.checked_add(1)?)?;
        let at = self.table.checked_add(index.checked_mul(self.function_entry())?)?;
        let offset = self.u32_at(bytes, at + self.function_entry() / 2)?;
        let start = self.table.checked_add(u64::from(offset))?;
        // The record repeats the function's address, which proves that it belongs to this function.
        let (own, fields) = match self.layout {
            Layout::Go116 => (self.u64_at(bytes, start)?, start.checked_add(8)?),
            _ => (self.text.checked_add(u64::from(self.u32_at(bytes, start)?))?, start.checked_add(4)?),
        };
        if own != entry {
            return None;
        }
        let field = |number: u64| self.u32_at(bytes, fields.checked_add(number * 4)?);
        // name, arguments, deferreturn, stack, file, line, number of tables, unit, start line (since 1.20), kinds
        let kinds = if self.layout == Layout::Go120 { 9 } else { 8 };
        Some(Function {
            entry,
            end,
            name: u64::from(field(0)?),
            stack: field(3)?,
            file: field(4)?,
            line: field(5)?,
            unit: field(7)?,
            tables: (fields.checked_add((kinds + 1) * 4)?, field(6)?.min(256)),
            data: field(kinds)?.to_le_bytes()[3],
        })
    }

    /// A function's name. An offset into the middle of another name gives `None`.
    pub(super) fn name(&self, bytes: &Bytes, offset: u64) -> Option<String> {
        let at = self.names.checked_add(offset)?;
        if offset > 0 && bytes.array::<1>(self.span.start.checked_add(at)?.checked_sub(1)?)? != [0] {
            return None;
        }
        (at < self.units).then(|| self.text_at(bytes, at))?
    }

    /// The file and the line of an address in a function.
    pub(super) fn line(
        &self,
        bytes: &Bytes,
        function: &Function,
        vaddr: u64,
        steps: &mut usize,
    ) -> (Option<String>, Option<u32>) {
        let line = self.value(bytes, function, function.line, vaddr, steps).and_then(|line| u32::try_from(line).ok());
        (self.file(bytes, function, vaddr, steps), line.filter(|line| *line > 0))
    }

    fn file(&self, bytes: &Bytes, function: &Function, vaddr: u64, steps: &mut usize) -> Option<String> {
        let number = u64::try_from(self.value(bytes, function, function.file, vaddr, steps)?).ok()?;
        let at = u64::from(function.unit).checked_add(number)?.checked_mul(4)?.checked_add(self.units)?;
        let offset = self.u32_at(bytes, at).filter(|_| at < self.files)?;
        if offset == u32::MAX {
            return None;
        }
        let at = self.files.checked_add(u64::from(offset))?;
        (at < self.values).then(|| self.text_at(bytes, at))?
    }

    /// The value at an address, from a table of differences (runtime: `pcvalue`). The table has pairs of varints: the change
    /// of the value, and the length of code for which the new value holds. The value starts at -1. `None` when no `steps` are
    /// left.
    pub(super) fn value(
        &self,
        bytes: &Bytes,
        function: &Function,
        table: u32,
        vaddr: u64,
        steps: &mut usize,
    ) -> Option<i32> {
        if table == 0 {
            return None;
        }
        let mut at = self.values.checked_add(u64::from(table))?;
        let (mut value, mut pc) = (-1_i32, function.entry);
        let mut is_first = true;
        loop {
            *steps = steps.checked_sub(1)?;
            let change = self.varint(bytes, &mut at)?;
            if change == 0 && !is_first {
                return None;
            }
            is_first = false;
            let magnitude = (change >> 1).cast_signed();
            value = value.wrapping_add(if change & 1 == 0 { magnitude } else { !magnitude });
            pc = pc.checked_add(u64::from(self.varint(bytes, &mut at)?).checked_mul(self.quantum)?)?;
            if vaddr < pc {
                return Some(value);
            }
            if pc > function.end {
                return None;
            }
        }
    }

    fn varint(&self, bytes: &Bytes, at: &mut u64) -> Option<u32> {
        let mut value = 0;
        for shift in (0..32).step_by(7) {
            let offset = self.span.start.checked_add(*at)?;
            let [byte] = (offset < self.span.end).then(|| bytes.array::<1>(offset))??;
            *at += 1;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}
