//! Finds Go's tables in a file, and the start of the code that they describe.

use super::module_data::ModuleData;
use super::table::{GoTable, Layout};
use crate::{bytes::Bytes, elf::Elf};
use std::ops::Range;

/// Most bytes of a file that are searched for tables without a section.
const MAX_SEARCH: u64 = 512 << 20;
const CHUNK: u64 = 1 << 20;
/// Functions whose first instructions are checked.
const SAMPLE: u64 = 256;
/// First bytes of a function that checks its stack, on x86-64: `cmp 16(%r14),%rsp`, or `lea …(%rsp),%r12` for a large frame.
const PROLOGUES: [&[u8]; 3] = [&[0x49, 0x3b, 0x66, 0x10], &[0x4c, 0x8d, 0x64, 0x24], &[0x4c, 0x8d, 0xa4, 0x24]];

/// Ranges of the file where tables may be.
pub(super) fn candidates(bytes: &Bytes, elf: &Elf) -> Vec<Range<u64>> {
    let named = [".gopclntab", ".data.rel.ro.gopclntab"].iter().find_map(|name| elf.section(name));
    if let Some(section) = named.filter(|section| section.plain) {
        return section.offset.checked_add(section.size).map(|end| section.offset..end).into_iter().collect();
    }
    // External linkers may put the tables into a section with another name, and packers may remove the section headers.
    let is_go = [".go.buildinfo", ".note.go.buildid"].iter().any(|name| elf.section(name).is_some());
    if is_go || elf.sections.is_empty() { search(bytes, elf) } else { Vec::new() }
}

fn search(bytes: &Bytes, elf: &Elf) -> Vec<Range<u64>> {
    let mut found = Vec::new();
    let mut searched = 0;
    for segment in elf.segments.iter().filter(|segment| !segment.executable) {
        let Some(end) = segment.offset.checked_add(segment.filesz) else { continue };
        let mut at = 0;
        while at < segment.filesz && searched < MAX_SEARCH && found.len() < 64 {
            let len = CHUNK.min(segment.filesz - at);
            let start = segment.offset.saturating_add(at);
            let Some(chunk) = bytes.copy(start, len, CHUNK) else { break };
            let is_header = |head: &[u8]| {
                let magic = head.first_chunk().is_some_and(|raw| Layout::of_magic(u32::from_le_bytes(*raw)).is_some());
                magic && matches!(head, [_, _, _, _, 0, 0, 1 | 2 | 4, 8])
            };
            let hits = chunk.chunks_exact(8).enumerate().filter(|(_, head)| is_header(head));
            found.extend(hits.map(|(index, _)| start + index as u64 * 8..end).take(64));
            at += len;
            searched += len;
        }
    }
    found
}

/// Address of the start of the code. Three sources, each checked: the module data, the header (0 since 1.26 and in
/// position-independent files), the start of `.text` (wrong when C code comes first).
pub(super) fn text(bytes: &Bytes, elf: &Elf, table: &GoTable, module: Option<&ModuleData>) -> Option<u64> {
    let len = u64::from(table.u32_at(bytes, table.table.checked_add(table.functions.checked_mul(8)?)?)?);
    if let Some(module) = module
        && len <= module.text_end - module.text
        && is_plausible(bytes, elf, table, module.text)
    {
        return Some(module.text);
    }
    let section = elf.section(".text").map(|section| section.addr);
    let claims = [Some(table.text).filter(|text| *text != 0), section];
    claims.into_iter().flatten().find(|text| is_plausible(bytes, elf, table, *text))
}

/// Whether enough functions start with a known prologue if the code starts at `text`.
fn is_plausible(bytes: &Bytes, elf: &Elf, table: &GoTable, text: u64) -> bool {
    let step = (table.functions / SAMPLE).max(1);
    let (mut seen, mut prologues) = (0_u64, 0_u64);
    let mut number = 0;
    while number < table.functions {
        let entry = table.u32_at(bytes, table.table.saturating_add(number * 8)).map(u64::from);
        let offset = entry.and_then(|entry| elf.offset_of(text.checked_add(entry)?));
        let Some(head) = offset.and_then(|offset| bytes.array::<4>(offset)) else { return false };
        seen += 1;
        prologues += u64::from(PROLOGUES.contains(&head.as_slice()));
        number += step;
    }
    // On x86-64 about two of three functions have such a prologue; at wrong addresses fewer than one in a hundred.
    elf.machine != object::elf::EM_X86_64 || prologues * 4 >= seen
}
