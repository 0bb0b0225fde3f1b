//! Makes small debug information: DWARF 4, one kind of unit, functions from 0x1000 on that are 2 GiB long.

use super::super::sections::Sections;
use gimli::SectionId;

const BIG: u64 = 0x7fff_ffff;

/// The sections that are made.
pub(super) struct Made {
    pub(super) info: Vec<u8>,
    pub(super) abbreviations: Vec<u8>,
    pub(super) line: Vec<u8>,
    ranges: Vec<u8>,
}

/// An unsigned number as DWARF writes it.
pub(super) fn leb(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

/// Code 1: a unit with name, low_pc, high_pc, stmt_list, comp_dir. 2: a function with name and addresses. 3: an inlined call with
/// name, addresses, file and line. 4: a unit with stmt_list only. 5: a function with addresses and an origin. 6: a function with
/// name and ranges. 7: a function with addresses and an origin in the supplementary file. Each attribute is a name and a form.
fn abbreviations() -> Vec<u8> {
    type Entry = (u8, u8, u8, &'static [(u64, u64)]);
    let entries: [Entry; 7] = [
        (1, 0x11, 1, &[(3, 0x08), (0x11, 0x01), (0x12, 0x07), (0x10, 0x17), (0x1b, 0x08)]),
        (2, 0x2e, 1, &[(3, 0x08), (0x11, 0x01), (0x12, 0x07)]),
        (3, 0x1d, 1, &[(3, 0x08), (0x11, 0x01), (0x12, 0x07), (0x58, 0x0b), (0x59, 0x0b)]),
        (4, 0x11, 0, &[(0x10, 0x17)]),
        (5, 0x2e, 1, &[(0x11, 0x01), (0x12, 0x07), (0x31, 0x13)]),
        (6, 0x2e, 0, &[(3, 0x08), (0x55, 0x17)]),
        (7, 0x2e, 1, &[(0x11, 0x01), (0x12, 0x07), (0x31, 0x1f20)]),
    ];
    let mut bytes = Vec::new();
    for (code, tag, children, attributes) in entries {
        bytes.extend([code, tag, children]);
        attributes.iter().for_each(|(name, form)| bytes.extend([leb(*name), leb(*form)].concat()));
        bytes.extend([0, 0]);
    }
    bytes.push(0);
    bytes
}

fn code() -> Vec<u8> {
    [0x1000_u64.to_le_bytes(), BIG.to_le_bytes()].concat()
}

pub(super) fn function(name: &str) -> Vec<u8> {
    [vec![2], text(name), code()].concat()
}

pub(super) fn function_from(origin: u32) -> Vec<u8> {
    [vec![5], code(), origin.to_le_bytes().to_vec()].concat()
}

pub(super) fn function_from_alternate(origin: u32) -> Vec<u8> {
    [vec![7], code(), origin.to_le_bytes().to_vec()].concat()
}

pub(super) fn function_with_list(at: u32) -> Vec<u8> {
    [vec![6], text("f"), at.to_le_bytes().to_vec()].concat()
}

pub(super) fn inlined(name: &str, file: u8, line: u8) -> Vec<u8> {
    [vec![3], text(name), code(), vec![file, line]].concat()
}

pub(super) fn end() -> Vec<u8> {
    vec![0]
}

fn head() -> Vec<u8> {
    [vec![1], text("a.c"), code(), 0_u32.to_le_bytes().to_vec(), text("/src")].concat()
}

fn wrapped(body: &[u8]) -> Vec<u8> {
    let content = [&4_u16.to_le_bytes()[..], &0_u32.to_le_bytes(), &[8], body].concat();
    [&u32::try_from(content.len()).unwrap().to_le_bytes()[..], &content].concat()
}

impl Made {
    /// One unit with these entries.
    pub(super) fn unit(body: &[u8]) -> Self {
        let info = wrapped(&[&head()[..], body, &[0]].concat());
        Self { info, abbreviations: abbreviations(), line: Vec::new(), ranges: Vec::new() }
    }

    /// Many units that only name a line program, all the same one.
    pub(super) fn units_without_ranges(count: usize) -> Self {
        let info = wrapped(&[vec![4], 0_u32.to_le_bytes().to_vec()].concat()).repeat(count);
        Self { info, abbreviations: abbreviations(), line: Vec::new(), ranges: Vec::new() }
    }

    pub(super) fn lines(mut self, program: &[u8]) -> Self {
        self.line = program.to_vec();
        self
    }

    pub(super) fn ranges(mut self, lists: &[u8]) -> Self {
        self.ranges = lists.to_vec();
        self
    }

    /// Offset of the unit's first child, in the unit and in the section.
    pub(super) fn first_child(&self) -> u32 {
        u32::try_from(11 + head().len()).unwrap()
    }

    pub(super) fn sections(self) -> Sections {
        Sections::made(vec![
            (SectionId::DebugInfo, self.info),
            (SectionId::DebugAbbrev, self.abbreviations),
            (SectionId::DebugLine, self.line),
            (SectionId::DebugRanges, self.ranges),
        ])
    }
}

/// A line program, of DWARF 4.
pub(super) fn line_program(opcodes: &[u8], files: &[&str]) -> Vec<u8> {
    let mut head = vec![1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0];
    files.iter().for_each(|file| head.extend([text(file), vec![0, 0, 0]].concat()));
    head.push(0);
    let length = u32::try_from(head.len()).unwrap().to_le_bytes();
    let content = [&4_u16.to_le_bytes()[..], &length, &head, opcodes].concat();
    [&u32::try_from(content.len()).unwrap().to_le_bytes()[..], &content].concat()
}

pub(super) fn set_address(address: u64) -> Vec<u8> {
    [&[0, 9, 2][..], &address.to_le_bytes()].concat()
}

pub(super) fn end_sequence() -> Vec<u8> {
    vec![0, 1, 1]
}

/// One row for all of the code, with this line.
pub(super) fn one_line(line: u64) -> Vec<u8> {
    [set_address(0x1000), vec![3], leb(line - 1), vec![1, 2], leb(BIG), vec![1], end_sequence()].concat()
}
