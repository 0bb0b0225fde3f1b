//! Go's `runtime.firstmoduledata`: the only structure with the addresses of the code and of function data.
//!
//! A stripped file has no symbol for it, so it is found by its content: it starts with pointers to each part of the tables. In
//! position-independent files these pointers are in relocations.

use super::table::GoTable;
use crate::{bytes::Bytes, elf::Elf};
use object::elf::R_X86_64_RELATIVE;
use std::collections::HashMap;

/// Most bytes of a file that are searched, for all candidate tables together.
pub(super) const MAX_SEARCH: u64 = 1 << 30;
const CHUNK: u64 = 1 << 20;
/// Words of the structure that are read.
const WORDS: u64 = 64;
/// Numbers of the words with the pointers to the parts of the tables, and the bounds of the code. The same from 1.18 to 1.27.
const NAMES: usize = 1;
const UNITS: usize = 4;
const FILES: usize = 7;
const VALUES: usize = 10;
const TABLE: usize = 13;
const TEXT: usize = 22;
const TEXT_END: usize = 23;

/// The fields that are used here.
#[derive(Clone, Debug)]
pub(super) struct ModuleData {
    /// Address of the start of the code.
    pub text: u64,
    /// Address of its end.
    pub text_end: u64,
    /// The words after the bounds of the code. One of them is the address of function data.
    pub behind_text: Vec<u64>,
}

/// Finds the module data by its pointers. Searches at most `left` bytes, and subtracts what it searched.
pub(super) fn find(bytes: &Bytes, elf: &Elf, table: &GoTable, left: &mut u64) -> Option<ModuleData> {
    let header = elf.vaddr_of(table.span.start)?;
    let parts = [
        (NAMES, table.names),
        (UNITS, table.units),
        (FILES, table.files),
        (VALUES, table.values),
        (TABLE, table.table),
    ];
    let check = |words: &[u64]| {
        let is_ours = parts.iter().all(|(word, offset)| words.get(*word) == Some(&header.wrapping_add(*offset)));
        let (text, text_end) = (*words.get(TEXT)?, *words.get(TEXT_END)?);
        let behind_text = words.get(TEXT_END + 1..)?.iter().copied().filter(|word| *word != 0).collect();
        (is_ours && text < text_end).then_some(ModuleData { text, text_end, behind_text })
    };
    let in_place = search(bytes, elf, header, left).into_iter().find_map(|vaddr| {
        let offset = elf.offset_of(vaddr)?;
        check(&(0..WORDS).map_while(|word| u64_at(bytes, offset.checked_add(word * 8)?)).collect::<Vec<_>>())
    });
    in_place.or_else(|| {
        let relocations = Relocations::of(elf)?;
        let starts = relocations.that(bytes, left, |_, addend| addend == header);
        starts.into_iter().find_map(|(start, _)| {
            let end = start.checked_add(WORDS * 8)?;
            let words: HashMap<u64, u64> =
                relocations.that(bytes, left, |at, _| (start..end).contains(&at)).into_iter().collect();
            check(&(0..WORDS).map(|word| words.get(&(start + word * 8)).copied().unwrap_or(0)).collect::<Vec<_>>())
        })
    })
}

/// Addresses of aligned words with this value in writable segments. A few at most.
fn search(bytes: &Bytes, elf: &Elf, value: u64, left: &mut u64) -> Vec<u64> {
    let wanted = value.to_le_bytes();
    let mut found = Vec::new();
    for segment in elf.segments.iter().filter(|segment| segment.writable && !segment.executable) {
        let mut at = 0;
        while at < segment.filesz && found.len() < 64 {
            let len = CHUNK.min(segment.filesz - at);
            let Some(rest) = left.checked_sub(len) else { return found };
            *left = rest;
            let Some(chunk) = bytes.copy(segment.offset.saturating_add(at), len, CHUNK) else { break };
            let hits = chunk.chunks_exact(8).enumerate().filter(|(_, word)| *word == wanted);
            found.extend(hits.map(|(index, _)| segment.vaddr.wrapping_add(at).wrapping_add(index as u64 * 8)).take(64));
            at += len;
        }
    }
    found
}

struct Relocations {
    offset: u64,
    size: u64,
}

impl Relocations {
    fn of(elf: &Elf) -> Option<Self> {
        let section = [".rela.dyn", ".rela"].iter().find_map(|name| elf.section(name))?;
        Some(Self { offset: section.offset, size: section.size })
    }

    /// Address and value of the relative relocations that `wanted` accepts. A few at most.
    fn that(&self, bytes: &Bytes, left: &mut u64, wanted: impl Fn(u64, u64) -> bool) -> Vec<(u64, u64)> {
        const ENTRY: u64 = 24;
        let mut found = Vec::new();
        let mut at = 0;
        while self.size - at >= ENTRY {
            let len = (CHUNK / ENTRY * ENTRY).min((self.size - at) / ENTRY * ENTRY);
            let Some(rest) = left.checked_sub(len) else { break };
            *left = rest;
            let Some(chunk) = bytes.copy(self.offset.saturating_add(at), len, CHUNK) else { break };
            for entry in chunk.chunks_exact(24) {
                let word = |number: usize| {
                    entry.get(number * 8..).and_then(<[u8]>::first_chunk).map_or(0, |raw| u64::from_le_bytes(*raw))
                };
                let is_relative = word(1) & u64::from(u32::MAX) == u64::from(R_X86_64_RELATIVE);
                if is_relative && wanted(word(0), word(2)) && found.len() < 256 {
                    found.push((word(0), word(2)));
                }
            }
            at += len;
        }
        found
    }
}

fn u64_at(bytes: &Bytes, offset: u64) -> Option<u64> {
    bytes.array(offset).map(u64::from_le_bytes)
}
