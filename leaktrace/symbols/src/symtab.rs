//! Reads the symbol tables of an ELF file: `.symtab`, then `.dynsym`.
//!
//! Symbols are compared by address only. Among symbols at the same address, the longest one is used. A symbol without a size
//! extends to the next one in `.symtab`; in `.dynsym`, which has few symbols, it has only its own address.

use super::elf::Elf;
use object::elf::{STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE, STT_OBJECT};
use std::cell::OnceCell;

/// Most symbols of a table. A table with more is not read: its index would take more than 64 MiB.
const MAX_SYMBOLS: usize = 16 << 20;
/// Longest name that is read, in bytes. Mangled names of real programs have a few thousand.
const MAX_NAME: usize = 16 << 10;

/// A symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Symbol {
    /// Its name as the file has it; bytes that are not UTF-8 are replaced.
    pub name: String,
    /// Its address before relocation.
    pub address: u64,
    /// Size in bytes; 0 when it is not known.
    pub size: u64,
}

/// The symbol tables of a file.
#[derive(Debug)]
pub(crate) struct Symbols {
    regular: Table,
    dynamic: Table,
}

impl Symbols {
    /// The tables of a file with this content. Reads nothing yet.
    pub(crate) fn new(file: &'static [u8], elf: &Elf) -> Self {
        let table = |symbols: &str, strings: &str, extends| {
            let len = if elf.is_64 { 24 } else { 16 };
            let rows = section(file, elf, symbols).filter(|rows| rows.len() / len <= MAX_SYMBOLS).unwrap_or_default();
            let strings = section(file, elf, strings).unwrap_or_default();
            Table { rows, len, strings, extends, by_address: OnceCell::new() }
        };
        Self { regular: table(".symtab", ".strtab", true), dynamic: table(".dynsym", ".dynstr", false) }
    }

    /// The symbol that contains an address.
    pub(crate) fn find(&self, vaddr: u64) -> Option<Symbol> {
        self.regular.find(vaddr).or_else(|| self.dynamic.find(vaddr))
    }

    /// Memory in use, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let of = |table: &Table| table.by_address.get().map_or(0, |index| size_of_val(&**index));
        of(&self.regular) + of(&self.dynamic)
    }
}

/// The bytes of a section that is in the file unchanged.
pub(crate) fn section(file: &'static [u8], elf: &Elf, name: &str) -> Option<&'static [u8]> {
    let section = elf.section(name).filter(|section| section.plain)?;
    let from = usize::try_from(section.offset).ok()?;
    file.get(from..from.checked_add(usize::try_from(section.size).ok()?)?)
}

/// A copy as text; bytes that are not UTF-8 are replaced. Copied before they are checked: a mapped file can change meanwhile.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[derive(Debug)]
struct Table {
    rows: &'static [u8],
    /// Length of a row, in bytes.
    len: usize,
    strings: &'static [u8],
    /// Whether a symbol without a size extends to the next one.
    extends: bool,
    /// Numbers of the rows with code or data, by address, then the longest first.
    by_address: OnceCell<Box<[u32]>>,
}

struct Row {
    name: u32,
    kind: u8,
    section: u16,
    address: u64,
    size: u64,
}

impl Table {
    fn row(&self, number: u32) -> Row {
        let from = number as usize * self.len;
        let raw = self.rows.get(from..from + self.len).unwrap_or(&[0; 24]);
        let half = |at: usize| u16::from_le_bytes([raw[at], raw[at + 1]]);
        let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if self.len == 24 {
            Row { name: word(0), kind: raw[4] & 15, section: half(6), address: long(8), size: long(16) }
        } else {
            let (address, size) = (word(4).into(), word(8).into());
            Row { name: word(0), kind: raw[12] & 15, section: half(14), address, size }
        }
    }

    fn index(&self) -> &[u32] {
        self.by_address.get_or_init(|| {
            let count = u32::try_from(self.rows.len() / self.len).unwrap_or(0);
            let is_used =
                |number: &u32| matches!(self.row(*number).kind, STT_NOTYPE | STT_OBJECT | STT_FUNC | STT_GNU_IFUNC);
            let mut index: Vec<u32> = (0..count).filter(is_used).collect();
            index.sort_unstable_by(|a, b| {
                let (a, b) = (self.row(*a), self.row(*b));
                a.address.cmp(&b.address).then(b.size.cmp(&a.size))
            });
            index.into_boxed_slice()
        })
    }

    fn find(&self, vaddr: u64) -> Option<Symbol> {
        let index = self.index();
        let first_from = |address| index.partition_point(|number| self.row(*number).address < address);
        let last = index.partition_point(|number| self.row(*number).address <= vaddr).checked_sub(1)?;
        let nearest = self.row(*index.get(last)?).address;
        let rows = index.get(first_from(nearest)..=last)?.iter().map(|number| self.row(*number));
        let contains = |row: &Row| match row.size {
            0 => self.extends || vaddr == row.address,
            size => vaddr - row.address < size,
        };
        let row = rows.into_iter().find(|row| row.section != 0 && contains(row))?;
        let name = self.strings.get(usize::try_from(row.name).ok()?..)?;
        let name = &name[..name.len().min(MAX_NAME)];
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        Some(Symbol { name: text(&name[..end]), address: row.address, size: row.size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::Section;

    /// A file with one table: name, kind, section, address, size of each symbol.
    fn symbols(table: &str, strings: &str, rows: &[(&str, u8, u16, u64, u64)]) -> Symbols {
        let (mut names, mut raw) = (vec![0_u8], Vec::new());
        for (name, kind, section, address, size) in rows {
            raw.extend(u32::try_from(names.len()).unwrap().to_le_bytes());
            raw.extend([*kind, 0]);
            raw.extend(section.to_le_bytes());
            raw.extend(address.to_le_bytes());
            raw.extend(size.to_le_bytes());
            names.extend([name.as_bytes(), b"\0"].concat());
        }
        let part = |name: &str, offset: usize, size: usize| Section {
            name: name.to_owned(),
            addr: 0,
            offset: offset as u64,
            size: size as u64,
            plain: true,
            unpacked: None,
        };
        let sections = vec![part(table, 0, raw.len()), part(strings, raw.len(), names.len())];
        let elf = Elf { is_64: true, sections, ..Elf::default() };
        Symbols::new([raw, names].concat().leak(), &elf)
    }

    fn name(symbols: &Symbols, vaddr: u64) -> Option<String> {
        symbols.find(vaddr).map(|symbol| symbol.name)
    }

    #[test]
    fn the_longest_symbol_at_an_address_is_used_and_only_within_its_size() {
        let rows = [("short", 2, 1, 16, 4), ("long", 2, 1, 16, 8), ("file", 4, 1, 18, 0), ("gone", 2, 0, 40, 8)];
        let symbols = symbols(".symtab", ".strtab", &rows);
        for (vaddr, expected) in [(15, None), (16, Some("long")), (23, Some("long")), (24, None), (41, None)] {
            assert_eq!(name(&symbols, vaddr).as_deref(), expected, "{vaddr}");
        }
    }

    #[test]
    fn a_symbol_without_a_size_extends_only_in_the_full_table() {
        let rows = [("start", 0, 1, 16, 0), ("next", 0, 1, 32, 0)];
        let full = symbols(".symtab", ".strtab", &rows);
        assert_eq!([16, 31, 99].map(|at| name(&full, at).unwrap()), ["start", "start", "next"]);
        let few = symbols(".dynsym", ".dynstr", &rows);
        assert_eq!((name(&few, 16).as_deref(), name(&few, 17)), (Some("start"), None));
    }

    #[test]
    fn a_long_name_is_cut_and_a_name_outside_the_table_is_none() {
        let long = "x".repeat(100_000);
        assert_eq!(name(&symbols(".symtab", ".strtab", &[(&long, 2, 1, 16, 4)]), 16).unwrap().len(), MAX_NAME);
        assert_eq!(name(&symbols(".symtab", ".other", &[("f", 2, 1, 16, 4)]), 16), None);
    }
}
