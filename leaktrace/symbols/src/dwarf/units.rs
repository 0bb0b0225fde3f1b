//! The units of a file, and the code that each of them has.
//!
//! Only headers are read at first: `.debug_aranges` says which code a unit has. A unit that is not listed there is opened for
//! that and closed again.

use super::budget::{Budget, Stop};
use super::limits::Slice;
use super::unit::{Unit, unless_too_much};
use gimli::{
    Abbreviations, DebugAbbrev, DebugAbbrevOffset, DebugArangesOffset, DebugInfoOffset, Dwarf, LittleEndian,
    UnitHeader, UnitOffset, UnitType,
};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Most units of a file, and most units without an address range of their own.
const MAX_UNITS: usize = 1 << 20;
/// Most ranges of code of all units.
const MAX_RANGES: usize = 2 << 20;
/// Longest table of abbreviations, in bytes. Those of real programs have some thousand.
const MAX_ABBREVIATIONS: usize = 128 << 10;
/// Memory that gimli needs for each byte of such a table, at most.
const ABBREVIATION_GROWTH: usize = 26;
/// Most units that are tried for an address. Honest units seldom overlap.
const MAX_TRIED: usize = 32;
/// Most units that stay open.
const MAX_OPEN: usize = 4096;

/// The units of a file.
#[derive(Debug)]
pub(super) struct Units {
    /// Offset of each unit in `.debug_info`, ascending.
    starts: Box<[usize]>,
    ranges: Box<[Piece]>,
    open: RefCell<HashMap<usize, Option<Rc<Unit>>>>,
    /// The last abbreviations that were read, by their offset.
    abbreviations: RefCell<Option<(usize, Option<Sized>)>>,
}

/// Abbreviations, and their size in memory.
type Sized = (Arc<Abbreviations>, usize);

/// A piece of code of a unit.
#[derive(Debug)]
struct Piece {
    begin: u64,
    end: u64,
    /// The greatest end of this piece and all before it.
    max_end: u64,
    unit: u32,
}

impl Units {
    /// Finds the units of a file. A supplementary file has no code.
    pub(super) fn read(
        dwarf: &Dwarf<Slice>,
        line_section: &'static [u8],
        abbreviations: &'static [u8],
        code: Code,
        budget: &Budget,
    ) -> Result<Self, Stop> {
        let mut units = Self {
            starts: Box::default(),
            ranges: Box::default(),
            open: RefCell::default(),
            abbreviations: RefCell::default(),
        };
        let listed = if code == Code::Present { listed(dwarf, budget)? } else { Vec::new() };
        let (mut starts, mut ranges) = (Vec::new(), Vec::new());
        let mut headers = dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            budget.step()?;
            let Some(DebugInfoOffset(start)) = header.debug_info_offset() else { continue };
            if matches!(header.type_(), UnitType::Type { .. } | UnitType::SplitType { .. }) {
                continue;
            }
            let Ok(number) = u32::try_from(starts.len()) else { break };
            let mut add = |begin, end| {
                ranges.push(Piece { begin, end, max_end: 0, unit: number });
                if ranges.len() > MAX_RANGES { budget.spend() } else { Ok(()) }
            };
            starts.push(start);
            if starts.len() > MAX_UNITS {
                return budget.spend().map(|()| units);
            }
            if code == Code::Absent || matches!(header.type_(), UnitType::Partial) {
                continue;
            }
            let mut any = false;
            let first = listed.partition_point(|(unit, _)| *unit < start);
            for (_, at) in listed.iter().skip(first).take_while(|(unit, _)| *unit == start) {
                let Ok(header) = dwarf.debug_aranges.header(DebugArangesOffset(*at)) else { continue };
                let mut entries = header.entries();
                while let Some(entry) = entries.next().transpose() {
                    budget.step()?;
                    // An address that overflows: others of the unit are fine.
                    let Ok(entry) = entry else { continue };
                    if entry.length() != 0 {
                        add(entry.range().begin, entry.range().end)?;
                        any = true;
                    }
                }
            }
            if !any {
                unless_too_much(units.own_ranges(dwarf, header, (line_section, abbreviations), budget, add))?;
            }
        }
        ranges.sort_unstable_by_key(|piece| piece.begin);
        let mut max_end = 0;
        for piece in &mut ranges {
            max_end = piece.end.max(max_end);
            piece.max_end = max_end;
        }
        units.starts = starts.into_boxed_slice();
        units.ranges = ranges.into_boxed_slice();
        budget.take(size_of_val(&*units.starts) + size_of_val(&*units.ranges))?;
        Ok(units)
    }

    /// The code that a unit says it has, or else that its line table has.
    fn own_ranges(
        &self,
        dwarf: &Dwarf<Slice>,
        header: UnitHeader<Slice>,
        (line_section, abbreviations): (&'static [u8], &'static [u8]),
        budget: &Budget,
        mut add: impl FnMut(u64, u64) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let (abbreviations, _) = self.abbreviations(&header, abbreviations).ok_or(Stop::Damaged)?;
        let unit = Unit::open(dwarf, header, abbreviations)?;
        let mut any = false;
        unit.ranges.each(unit.of(dwarf), budget, |range| {
            any = true;
            add(range.begin, range.end)
        })?;
        if any {
            return Ok(());
        }
        if let Some(lines) = unit.lines(dwarf, line_section, budget)? {
            budget.give_back(lines.bytes());
            lines.ranges().try_for_each(|(begin, end)| add(begin, end))?;
        }
        Ok(())
    }

    /// The units that may have code at an address, in the order in which they are tried.
    pub(super) fn at(&self, vaddr: u64) -> Vec<usize> {
        let after = self.ranges.partition_point(|piece| piece.begin <= vaddr);
        let pieces = self.ranges.get(..after).unwrap_or_default().iter().rev();
        let pieces = pieces.take_while(|piece| vaddr < piece.max_end).take(MAX_TRIED * 16);
        let mut found: Vec<usize> =
            pieces.filter(|piece| vaddr < piece.end).map(|piece| piece.unit as usize).take(MAX_TRIED).collect();
        found.dedup();
        found
    }

    /// The unit that has the entry at an offset in `.debug_info`, and the offset in it.
    pub(super) fn with_entry(&self, offset: DebugInfoOffset, dwarf: &Dwarf<Slice>) -> Option<(usize, UnitOffset)> {
        let number = self.starts.partition_point(|start| *start <= offset.0).checked_sub(1)?;
        let header = dwarf.unit_header(DebugInfoOffset(*self.starts.get(number)?)).ok()?;
        Some((number, offset.to_unit_offset(&header)?))
    }

    /// Opens a unit, or returns it if it is open. `None` when it is damaged.
    pub(super) fn open(
        &self,
        number: usize,
        dwarf: &Dwarf<Slice>,
        abbreviations: &'static [u8],
        budget: &Budget,
    ) -> Result<Option<Rc<Unit>>, Stop> {
        budget.step()?;
        if let Some(unit) = self.open.borrow().get(&number) {
            return Ok(unit.clone());
        }
        let open = || {
            let header = dwarf.unit_header(DebugInfoOffset(*self.starts.get(number)?)).ok()?;
            let (abbreviations, bytes) = self.abbreviations(&header, abbreviations)?;
            Some((Rc::new(Unit::open(dwarf, header, abbreviations).ok()?), bytes))
        };
        let unit = open();
        budget.take(size_of::<Unit>() + unit.as_ref().map_or(0, |(_, bytes)| *bytes))?;
        let unit = unit.map(|(unit, _)| unit);
        let mut all = self.open.borrow_mut();
        if all.len() >= MAX_OPEN {
            all.clear();
        }
        all.insert(number, unit.clone());
        Ok(unit)
    }

    /// The abbreviations of a unit. Keeps the last ones: neighbours often share them.
    fn abbreviations(&self, header: &UnitHeader<Slice>, section: &'static [u8]) -> Option<Sized> {
        let DebugAbbrevOffset(at) = header.debug_abbrev_offset();
        let mut last = self.abbreviations.borrow_mut();
        if last.as_ref().is_none_or(|(of, _)| *of != at) {
            let rest = section.get(at..).unwrap_or_default();
            let length = abbreviations_length(&rest[..rest.len().min(MAX_ABBREVIATIONS)]);
            let read = length.and_then(|length| {
                let section = DebugAbbrev::new(rest.get(..length)?, LittleEndian);
                Some((Arc::new(section.abbreviations(DebugAbbrevOffset(0)).ok()?), length * ABBREVIATION_GROWTH))
            });
            *last = Some((at, read));
        }
        last.as_ref().and_then(|(_, read)| read.clone())
    }
}

/// Whether the units of a file have code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Present,
    Absent,
}

/// Offsets of units, and of their lists in `.debug_aranges`, by unit.
fn listed(dwarf: &Dwarf<Slice>, budget: &Budget) -> Result<Vec<(usize, usize)>, Stop> {
    let mut listed = Vec::new();
    let mut headers = dwarf.debug_aranges.headers();
    while let Ok(Some(header)) = headers.next() {
        budget.step()?;
        if listed.len() >= MAX_UNITS {
            break;
        }
        listed.push((header.debug_info_offset().0, header.offset().0));
    }
    listed.sort_unstable();
    Ok(listed)
}

/// Length of a table of abbreviations; `None` when it does not end. Each has a code, a tag, a flag, and pairs of attribute and
/// form that end with two zeros. One form has a value here.
fn abbreviations_length(table: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut number = || {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = *table.get(at)?;
            at += 1;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift += 7;
            if byte & 0x80 == 0 {
                return Some((value, at));
            }
        }
    };
    loop {
        let (code, end) = number()?;
        if code == 0 {
            return Some(end);
        }
        // The tag and the flag, which has one byte.
        number()?;
        number()?;
        loop {
            let ((attribute, _), (form, _)) = (number()?, number()?);
            if form == u64::from(gimli::DW_FORM_implicit_const.0) {
                number()?;
            }
            if attribute == 0 && form == 0 {
                break;
            }
        }
    }
}
