//! The sections with debug information, from a mapped file or unpacked.

use super::limits::Slice;
use crate::elf::Elf;
use crate::{packed, symtab};
use gimli::{DwarfFileType, LittleEndian, SectionId};
use std::collections::HashMap;

/// The sections that are read. Others, such as locations of variables and macros, stay compressed and untouched.
const READ: [SectionId; 10] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

/// Sections with debug information, and the memory of those that were unpacked.
#[derive(Debug, Default)]
pub(super) struct Sections {
    found: HashMap<&'static str, &'static [u8]>,
    unpacked: Vec<Box<[u8]>>,
}

impl Sections {
    /// The sections of a file; `None` when it has none, or one that cannot be unpacked within `limit` bytes.
    pub(super) fn of(file: &'static [u8], elf: &Elf, limit: usize) -> Option<Self> {
        let mut all = Self::default();
        for id in READ {
            all.add(file, elf, id.name(), limit)?;
        }
        (!all.get(SectionId::DebugInfo).is_empty()).then_some(all)
    }

    /// Sections with this content.
    #[cfg(test)]
    pub(super) fn made(content: Vec<(SectionId, Vec<u8>)>) -> Self {
        let found = content.into_iter().map(|(id, bytes)| (id.name(), &*bytes.leak())).collect();
        Self { found, unpacked: Vec::new() }
    }

    fn add(&mut self, file: &'static [u8], elf: &Elf, name: &'static str, limit: usize) -> Option<()> {
        if let Some(plain) = symtab::section(file, elf, name) {
            self.found.insert(name, plain);
            return Some(());
        }
        let room = limit.saturating_sub(self.bytes()) as u64;
        let old = name.replacen(".debug", ".zdebug", 1);
        let unpacked = if let Some(section) = elf.section(name) {
            // Absent from this file, as in the program itself when its debug information is elsewhere.
            let Some(_) = section.unpacked else { return Some(()) };
            let from = usize::try_from(section.offset).ok()?;
            let raw = file.get(from..from.checked_add(usize::try_from(section.size).ok()?)?)?;
            packed::unpack(raw, elf, section, room)?
        } else if let Some(raw) = symtab::section(file, elf, &old) {
            packed::unpack_old(raw, room)?
        } else {
            return Some(());
        };
        // SAFETY: a boxed slice stays where it is when its box moves, and `unpacked` keeps it as long as the sections.
        let bytes = unsafe { std::slice::from_raw_parts(unpacked.as_ptr(), unpacked.len()) };
        self.unpacked.push(unpacked);
        self.found.insert(name, bytes);
        Some(())
    }

    /// The content of a section; empty when there is none. Must not be used after `self` is gone.
    pub(super) fn get(&self, id: SectionId) -> &'static [u8] {
        self.found.get(id.name()).copied().unwrap_or_default()
    }

    /// The sections as gimli reads them.
    pub(super) fn dwarf(&self) -> Option<gimli::Dwarf<Slice>> {
        let load = |id| Ok::<_, gimli::Error>(Slice::new(self.get(id), LittleEndian));
        let mut dwarf = gimli::Dwarf::load(load).ok()?;
        dwarf.file_type = DwarfFileType::Main;
        Some(dwarf)
    }

    /// Memory of what was unpacked, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.unpacked.iter().map(|bytes| bytes.len()).sum()
    }
}
