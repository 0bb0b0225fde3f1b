//! Reads DWARF: function, file, line, and inlined functions of an address.
//!
//! Everything comes from the bytes of open files; no file is opened here. Any program can write its own debug information, so
//! every loop, table and nesting has a bound. Units are read when an address needs them: an index of ranges is all that a file
//! of a gigabyte costs at first.

mod budget;
mod limits;
mod lines;
mod sections;
mod unit;
mod units;

pub(crate) use budget::{Budget, Stop};

use crate::elf::Elf;
use crate::symtab::text;
use gimli::{AttributeValue, SectionId};
use limits::{MAX_INLINED, MAX_MANGLED, MAX_ORIGINS, Slice};
use lines::Spot;
use sections::Sections;
use std::rc::Rc;
use unit::{Naming, Unit, function_at, inlined_at, unless_too_much};
use units::{Code, Units};

/// What the debug information says about an address.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The functions, innermost first. All but the last are inlined. The last one has no name when only a line is known.
    pub functions: Vec<Named>,
    /// Start and end of the function, if it is in one piece.
    pub bounds: Option<(u64, u64)>,
    /// Whether there is an entry for the function.
    pub is_function: bool,
}

impl Found {
    /// Memory in use beside the value itself, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::capacity);
        let of = |named: &Named| text(&named.name) + text(&named.file);
        self.functions.capacity() * size_of::<Named>() + self.functions.iter().map(of).sum::<usize>()
    }
}

/// A function, and the place in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// Name, mangled or not.
    pub name: Option<String>,
    /// Path of the source file.
    pub file: Option<String>,
    /// Line in the file.
    pub line: Option<u32>,
}

/// The debug information of a file.
#[derive(Debug)]
pub(crate) struct Dwarf {
    dwarf: gimli::Dwarf<Slice>,
    units: Units,
    alternate: Option<Units>,
    sections: Sections,
    alternate_sections: Option<Sections>,
}

/// A unit of the file or of its supplementary file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Main,
    Alternate,
}

impl Dwarf {
    /// The debug information of a file with this content, and of its supplementary file. `None` when there is none.
    ///
    /// # Safety
    /// The content must stay mapped as long as this exists.
    ///
    /// # Errors
    /// `TooMuch` when indexing it exceeds the budget; unpacked sections may take at most `limit` bytes.
    pub(crate) unsafe fn open(
        file: (&'static [u8], &Elf),
        alternate: Option<(&'static [u8], &Elf)>,
        limit: usize,
        budget: &Budget,
    ) -> Result<Option<Self>, Stop> {
        let Some(sections) = Sections::of(file.0, file.1, limit) else { return Ok(None) };
        let room = limit.saturating_sub(sections.bytes());
        Self::of(sections, alternate.and_then(|(file, elf)| Sections::of(file, elf, room)), budget)
    }

    fn of(sections: Sections, alternate_sections: Option<Sections>, budget: &Budget) -> Result<Option<Self>, Stop> {
        budget.take(sections.bytes())?;
        let Some(mut dwarf) = sections.dwarf() else { return Ok(None) };
        let (line, abbrev) = (sections.get(SectionId::DebugLine), sections.get(SectionId::DebugAbbrev));
        let units = Units::read(&dwarf, line, abbrev, Code::Present, budget)?;
        let mut alternate = None;
        if let Some(sections) = &alternate_sections
            && let Some(other) = sections.dwarf()
        {
            budget.take(sections.bytes())?;
            let abbrev = sections.get(SectionId::DebugAbbrev);
            alternate = Some(Units::read(&other, &[], abbrev, Code::Absent, budget)?);
            dwarf.set_sup(other);
        }
        Ok(Some(Self { dwarf, units, alternate, sections, alternate_sections }))
    }

    /// What is known about an address; `None` when nothing is.
    ///
    /// # Errors
    /// `TooMuch` when it exceeds the budget.
    pub(crate) fn find(&self, vaddr: u64, budget: &Budget) -> Result<Option<Found>, Stop> {
        let numbers = self.units.at(vaddr);
        let mut function = None;
        for number in &numbers {
            let Some(unit) = self.unit(Which::Main, *number, budget)? else { continue };
            if let Some(entry) = unit.function(&self.dwarf, vaddr, budget)? {
                function = Some((unit, entry));
                break;
            }
        }
        let mut place = Named::default();
        let mut has_line = false;
        for number in &numbers {
            let Some(unit) = self.unit(Which::Main, *number, budget)? else { continue };
            if let Some(spot) = self.lines(&unit, budget)?.and_then(|lines| lines.find(vaddr)) {
                place = self.named(&unit, Some(spot), budget)?;
                has_line = true;
                break;
            }
        }
        let Some((unit, entry)) = function else {
            return Ok(has_line.then(|| Found { functions: vec![place], ..Found::default() }));
        };
        let Some((naming, ranges)) = unless_too_much(function_at(unit.of(&self.dwarf), entry))? else {
            return Ok(None);
        };
        let mut found = Found { is_function: true, ..Found::default() };
        found.bounds = ranges.bounds().map(|range| (range.begin, range.end));
        let calls = if has_line {
            unless_too_much(inlined_at(unit.of(&self.dwarf), entry, vaddr, budget))?.unwrap_or_default()
        } else {
            Vec::new()
        };
        if calls.len() == MAX_INLINED {
            // The line is in a function that was left out.
            place = Named::default();
        }
        for call in calls.iter().rev() {
            place.name = self.name(&unit, call.name, budget)?;
            let caller = self.named(&unit, call.site, budget)?;
            found.functions.push(std::mem::replace(&mut place, caller));
        }
        place.name = self.name(&unit, naming, budget)?;
        found.functions.push(place);
        Ok(Some(found))
    }

    fn unit(&self, which: Which, number: usize, budget: &Budget) -> Result<Option<Rc<Unit>>, Stop> {
        let (units, sections, dwarf) = match which {
            Which::Main => (Some(&self.units), Some(&self.sections), Some(&self.dwarf)),
            Which::Alternate => (self.alternate.as_ref(), self.alternate_sections.as_ref(), self.dwarf.sup()),
        };
        let (Some(units), Some(sections), Some(dwarf)) = (units, sections, dwarf) else { return Ok(None) };
        units.open(number, dwarf, sections.get(SectionId::DebugAbbrev), budget)
    }

    fn lines<'a>(&self, unit: &'a Unit, budget: &Budget) -> Result<Option<&'a lines::Lines>, Stop> {
        unit.lines(&self.dwarf, self.sections.get(SectionId::DebugLine), budget)
    }

    /// File and line of a spot.
    fn named(&self, unit: &Unit, spot: Option<Spot>, budget: &Budget) -> Result<Named, Stop> {
        let Some(spot) = spot else { return Ok(Named::default()) };
        let file = self.lines(unit, budget)?.and_then(|lines| lines.path(unit.of(&self.dwarf), spot.file));
        let line = Some(spot.line).filter(|line| *line > 0);
        Ok(Named { name: None, file: file.filter(|file| !file.is_empty()), line })
    }

    /// The name of a function: its own one, or that of the entry from which it was made.
    fn name(&self, unit: &Rc<Unit>, naming: Naming, budget: &Budget) -> Result<Option<String>, Stop> {
        let (mut which, mut unit, mut naming) = (Which::Main, Rc::clone(unit), naming);
        for _ in 0..MAX_ORIGINS {
            budget.step()?;
            let dwarf = match which {
                Which::Main => &self.dwarf,
                Which::Alternate => self.dwarf.sup().unwrap_or(&self.dwarf),
            };
            if let Some(name) = naming.own(unit.of(dwarf)) {
                let name = text(&name.slice()[..name.len().min(MAX_MANGLED)]);
                return Ok(Some(name).filter(|name| !name.is_empty()));
            }
            let (next, entry) = match naming.origin {
                Some(AttributeValue::UnitRef(entry)) => (None, entry),
                Some(AttributeValue::DebugInfoRef(offset)) => {
                    let units = if which == Which::Main { Some(&self.units) } else { self.alternate.as_ref() };
                    let Some((number, entry)) = units.and_then(|units| units.with_entry(offset, dwarf)) else {
                        return Ok(None);
                    };
                    (Some(number), entry)
                }
                Some(AttributeValue::DebugInfoRefSup(offset)) if which == Which::Main => {
                    let sup = self.alternate.as_ref().zip(self.dwarf.sup());
                    let Some((number, entry)) = sup.and_then(|(units, dwarf)| units.with_entry(offset, dwarf)) else {
                        return Ok(None);
                    };
                    which = Which::Alternate;
                    (Some(number), entry)
                }
                _ => return Ok(None),
            };
            if let Some(number) = next {
                let Some(other) = self.unit(which, number, budget)? else { return Ok(None) };
                unit = other;
            }
            let dwarf = if which == Which::Main { &self.dwarf } else { self.dwarf.sup().unwrap_or(&self.dwarf) };
            let Some((next, _)) = unless_too_much(function_at(unit.of(dwarf), entry))? else { return Ok(None) };
            naming = next;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
