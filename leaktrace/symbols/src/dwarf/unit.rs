//! One compilation unit: its functions, and what is inlined into them.

use super::budget::{Budget, Stop};
use super::limits::{MAX_INLINED, Slice};
use super::lines::{Lines, Spot};
use gimli::{
    Abbreviation, Abbreviations, Attribute, AttributeValue, DebugAddrBase, DebugLineOffset, DebugLocListsBase,
    DebugRngListsBase, DebugStrOffsetsBase, Dwarf, EntriesRaw, Range, RangeListsOffset, UnitHeader, UnitOffset,
    UnitRef, constants,
};
use std::cell::OnceCell;
use std::sync::Arc;

/// Most address ranges of the functions of one unit.
const MAX_FUNCTIONS: usize = 2 << 20;

/// A unit that was opened. Its tables are read when they are needed.
#[derive(Debug)]
pub(super) struct Unit {
    unit: gimli::Unit<Slice>,
    line_program: Option<usize>,
    /// The code of the unit.
    pub ranges: Ranges,
    functions: OnceCell<Option<Box<[Function]>>>,
    lines: OnceCell<Option<Lines>>,
}

/// A piece of a function.
#[derive(Debug)]
struct Function {
    range: Range,
    entry: UnitOffset,
}

/// A call that was inlined.
#[derive(Debug)]
pub(super) struct Call {
    /// Where the name of the called function is.
    pub name: Naming,
    /// Where the call is; its file is `None` when that is not known.
    pub site: Option<Spot>,
}

/// What an entry says about the name of its function.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Naming {
    /// The mangled name.
    linkage: Option<AttributeValue<Slice>>,
    plain: Option<AttributeValue<Slice>>,
    /// Another entry that has the name.
    pub origin: Option<AttributeValue<Slice>>,
}

/// The addresses of an entry.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Ranges {
    low: Option<u64>,
    high: Option<u64>,
    size: Option<u64>,
    list: Option<RangeListsOffset>,
}

impl Unit {
    /// Opens a unit: reads its first entry.
    pub(super) fn open(
        dwarf: &Dwarf<Slice>,
        header: UnitHeader<Slice>,
        abbreviations: Arc<Abbreviations>,
    ) -> Result<Self, Stop> {
        let encoding = header.encoding();
        let mut unit = gimli::Unit {
            abbreviations,
            name: None,
            comp_dir: None,
            low_pc: 0,
            str_offsets_base: DebugStrOffsetsBase::default_for_encoding_and_file(encoding, dwarf.file_type),
            addr_base: DebugAddrBase(0),
            loclists_base: DebugLocListsBase::default_for_encoding_and_file(encoding, dwarf.file_type),
            rnglists_base: DebugRngListsBase::default_for_encoding_and_file(encoding, dwarf.file_type),
            line_program: None,
            dwo_id: None,
            header,
        };
        let attributes = {
            let mut entries = unit.header.entries_raw(&unit.abbreviations, None)?;
            let root = entries.read_abbreviation()?.ok_or(Stop::Damaged)?;
            root.attributes().iter().map(|spec| entries.read_attribute(*spec)).collect::<Result<Vec<_>, _>>()?
        };
        // The bases come first: other attributes are read with them.
        let mut line_program = None;
        for attribute in &attributes {
            match (attribute.name(), attribute.value()) {
                (constants::DW_AT_stmt_list, AttributeValue::DebugLineRef(DebugLineOffset(at))) => {
                    line_program = Some(at);
                }
                (_, AttributeValue::DebugStrOffsetsBase(base)) => unit.str_offsets_base = base,
                (_, AttributeValue::DebugAddrBase(base)) => unit.addr_base = base,
                (_, AttributeValue::DebugRngListsBase(base)) => unit.rnglists_base = base,
                _ => {}
            }
        }
        let mut ranges = Ranges::default();
        let low = attributes.iter().find(|attribute| attribute.name() == constants::DW_AT_low_pc);
        unit.low_pc = low.and_then(|low| dwarf.attr_address(&unit, low.value()).ok()?).unwrap_or(0);
        let home = attributes.iter().find(|attribute| attribute.name() == constants::DW_AT_comp_dir);
        unit.comp_dir = home.and_then(|home| dwarf.attr_string(&unit, home.value()).ok());
        for attribute in &attributes {
            ranges.add(attribute, UnitRef::new(dwarf, &unit))?;
        }
        Ok(Self { unit, line_program, ranges, functions: OnceCell::new(), lines: OnceCell::new() })
    }

    /// The unit as gimli reads it.
    pub(super) fn of<'a>(&'a self, dwarf: &'a Dwarf<Slice>) -> UnitRef<'a, Slice> {
        UnitRef::new(dwarf, &self.unit)
    }

    /// The unit's line table; `None` when it has none that can be read.
    pub(super) fn lines(
        &self,
        dwarf: &Dwarf<Slice>,
        section: &'static [u8],
        budget: &Budget,
    ) -> Result<Option<&Lines>, Stop> {
        if let Some(lines) = self.lines.get() {
            return Ok(lines.as_ref());
        }
        let read = self.line_program.map(|at| Lines::read(self.of(dwarf), section, at, budget));
        let lines = unless_too_much(read.transpose())?.flatten();
        Ok(self.lines.get_or_init(|| lines).as_ref())
    }

    /// The entry of the function at an address.
    pub(super) fn function(
        &self,
        dwarf: &Dwarf<Slice>,
        vaddr: u64,
        budget: &Budget,
    ) -> Result<Option<UnitOffset>, Stop> {
        if self.functions.get().is_none() {
            let read = unless_too_much(read_functions(self.of(dwarf), budget))?;
            let _ = self.functions.set(read);
        }
        let Some(Some(functions)) = self.functions.get() else { return Ok(None) };
        let found = functions.binary_search_by(|function| {
            if vaddr < function.range.begin {
                std::cmp::Ordering::Greater
            } else if vaddr >= function.range.end {
                std::cmp::Ordering::Less
            } else {
                std::cmp::Ordering::Equal
            }
        });
        Ok(found.ok().and_then(|at| functions.get(at)).map(|function| function.entry))
    }
}

/// Damaged parts count as absent; only a spent budget is an error.
pub(super) fn unless_too_much<T>(result: Result<T, Stop>) -> Result<Option<T>, Stop> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Stop::Damaged) => Ok(None),
        Err(Stop::TooMuch) => Err(Stop::TooMuch),
    }
}

fn read_functions(unit: UnitRef<'_, Slice>, budget: &Budget) -> Result<Box<[Function]>, Stop> {
    let mut functions = Vec::new();
    let mut entries = unit.entries_raw(None)?;
    while !entries.is_empty() {
        budget.step()?;
        let entry = entries.next_offset();
        let Some(abbreviation) = entries.read_abbreviation()? else { continue };
        if abbreviation.tag() != constants::DW_TAG_subprogram {
            entries.skip_attributes(abbreviation.attributes())?;
            continue;
        }
        let mut ranges = Ranges::default();
        for spec in abbreviation.attributes() {
            ranges.add(&entries.read_attribute(*spec)?, unit)?;
        }
        ranges.each(unit, budget, |range| {
            functions.push(Function { range, entry });
            if functions.len() > MAX_FUNCTIONS { Err(Stop::Damaged) } else { Ok(()) }
        })?;
    }
    functions.sort_unstable_by_key(|function| function.range.begin);
    let functions = functions.into_boxed_slice();
    budget.take(size_of_val(&*functions))?;
    Ok(functions)
}

/// Name and addresses of the function at an entry.
pub(super) fn function_at(unit: UnitRef<'_, Slice>, entry: UnitOffset) -> Result<(Naming, Ranges), Stop> {
    let mut entries = unit.entries_raw(Some(entry))?;
    let abbreviation = entries.read_abbreviation()?.ok_or(Stop::Damaged)?;
    let (mut naming, mut ranges) = (Naming::default(), Ranges::default());
    for spec in abbreviation.attributes() {
        let attribute = entries.read_attribute(*spec)?;
        naming.add(&attribute);
        ranges.add(&attribute, unit)?;
    }
    Ok((naming, ranges))
}

/// The calls inlined into the function at an entry whose code contains an address, outermost first. At most [`MAX_INLINED`].
///
/// Walks through the function's entries without recursion: how deep they are nested is up to the file.
pub(super) fn inlined_at(
    unit: UnitRef<'_, Slice>,
    function: UnitOffset,
    vaddr: u64,
    budget: &Budget,
) -> Result<Vec<Call>, Stop> {
    let mut calls = Vec::new();
    let mut entries = unit.entries_raw(Some(function))?;
    // Entries deeper than this one are inside what contains the address.
    let mut within = entries.next_depth();
    let first = entries.read_abbreviation()?.ok_or(Stop::Damaged)?;
    entries.skip_attributes(first.attributes())?;
    // Entries deeper than this one are inside something else.
    let mut elsewhere = isize::MAX;
    while entries.next_depth() > within && calls.len() < MAX_INLINED && !entries.is_empty() {
        budget.step()?;
        let depth = entries.next_depth();
        let Some(abbreviation) = entries.read_abbreviation()? else { continue };
        if depth <= elsewhere {
            elsewhere = isize::MAX;
        }
        let is_call = abbreviation.tag() == constants::DW_TAG_inlined_subroutine;
        if elsewhere != isize::MAX || !is_call {
            entries.skip_attributes(abbreviation.attributes())?;
            if elsewhere == isize::MAX && abbreviation.tag() == constants::DW_TAG_subprogram {
                elsewhere = depth;
            }
            continue;
        }
        match call(unit, &mut entries, abbreviation, vaddr, budget)? {
            Some(call) => {
                calls.push(call);
                within = depth;
            }
            None => elsewhere = depth,
        }
    }
    Ok(calls)
}

/// Reads the inlined call at which `entries` is; `None` when its code does not contain the address.
fn call(
    unit: UnitRef<'_, Slice>,
    entries: &mut EntriesRaw<'_, Slice>,
    abbreviation: &Abbreviation,
    vaddr: u64,
    budget: &Budget,
) -> Result<Option<Call>, Stop> {
    let (mut ranges, mut name) = (Ranges::default(), Naming::default());
    let (mut file, mut line) = (None, 0);
    for spec in abbreviation.attributes() {
        let attribute = entries.read_attribute(*spec)?;
        match (attribute.name(), attribute.value()) {
            // In DWARF 5 the first file has number 0; before, 0 is no file.
            (constants::DW_AT_call_file, AttributeValue::FileIndex(number)) => {
                file = (number > 0 || unit.header.version() >= 5).then_some(number);
            }
            (constants::DW_AT_call_line, value) => {
                line = value.udata_value().and_then(|line| u32::try_from(line).ok()).unwrap_or(0);
            }
            _ => {
                ranges.add(&attribute, unit)?;
                name.add(&attribute);
            }
        }
    }
    let mut contains = false;
    ranges.each(unit, budget, |range| {
        contains |= (range.begin..range.end).contains(&vaddr);
        Ok(())
    })?;
    Ok(contains.then(|| Call { name, site: file.map(|file| Spot { file, line }) }))
}

impl Naming {
    fn add(&mut self, attribute: &Attribute<Slice>) {
        match attribute.name() {
            constants::DW_AT_linkage_name | constants::DW_AT_MIPS_linkage_name => {
                self.linkage = Some(attribute.value())
            }
            constants::DW_AT_name => self.plain = Some(attribute.value()),
            constants::DW_AT_abstract_origin | constants::DW_AT_specification => self.origin = Some(attribute.value()),
            _ => {}
        }
    }

    /// The name that this entry has itself.
    pub(super) fn own(&self, unit: UnitRef<'_, Slice>) -> Option<Slice> {
        let text = |value: Option<AttributeValue<Slice>>| unit.attr_string(value?).ok();
        text(self.linkage).or_else(|| text(self.plain))
    }
}

impl Ranges {
    fn add(&mut self, attribute: &Attribute<Slice>, unit: UnitRef<'_, Slice>) -> Result<(), Stop> {
        let value = attribute.value();
        let address = |value| match value {
            AttributeValue::Addr(address) => Ok(Some(address)),
            AttributeValue::DebugAddrIndex(index) => unit.address(index).map(Some),
            _ => Ok(None),
        };
        match attribute.name() {
            constants::DW_AT_low_pc => self.low = address(value)?,
            constants::DW_AT_high_pc => match value {
                AttributeValue::Udata(size) => self.size = Some(size),
                value => self.high = address(value)?,
            },
            constants::DW_AT_ranges => self.list = unit.attr_ranges_offset(value)?,
            _ => {}
        }
        Ok(())
    }

    /// Calls `each` with every range that is not empty.
    pub(super) fn each(
        &self,
        unit: UnitRef<'_, Slice>,
        budget: &Budget,
        mut each: impl FnMut(Range) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let Some(list) = self.list else {
            return self.bounds().filter(|range| range.begin < range.end).map_or(Ok(()), each);
        };
        let mut list = unit.ranges(list)?;
        while let Some(range) = list.next()? {
            budget.step()?;
            if range.begin < range.end {
                each(range)?;
            }
        }
        Ok(())
    }

    /// Start and end, if it is one piece.
    pub(super) fn bounds(&self) -> Option<Range> {
        let begin = self.low?;
        let end = self.high.or_else(|| self.size.map(|size| begin.wrapping_add(size)))?;
        Some(Range { begin, end })
    }
}
