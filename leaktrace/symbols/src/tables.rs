//! Symbols and debug information of one file, read from its descriptor.
//!
//! Decides how much of a file is read. A file whose debug information costs too much gives only its symbols from then on.

use super::dwarf::{Budget, Dwarf, Found};
use super::image::Image;
use super::mapped::Mapped;
use super::symtab::{Symbol, Symbols};
use object::elf::ET_REL;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most memory that the tables of one file may take, in bytes.
const MOST: usize = 128 << 20;
/// Most time that all lookups in the debug information of one file may take: this, and [`TIME_EACH`] for each of them.
const TIME: Duration = Duration::from_secs(4);
/// An honest lookup takes a few milliseconds at most.
const TIME_EACH: Duration = Duration::from_millis(20);
/// Bytes of the file that a lookup reads, on average.
const LOOKUP_BYTES: u64 = 64 << 10;

/// Which parts of a file are searched for names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Within {
    /// Debug information, then symbols.
    Everything,
    /// Symbols only.
    Symbols,
}

/// The tables of a file.
#[derive(Debug)]
pub(crate) struct Tables {
    dwarf: Debug,
    /// Memory of the debug information, in bytes.
    dwarf_bytes: usize,
    /// The part of it that was there before the first lookup: the index, and sections that were unpacked.
    index_bytes: usize,
    /// Time that its lookups took, less what they may take.
    late: Duration,
    symbols: Symbols,
    alternate: Option<Mapped>,
    mapped: Mapped,
    image: Arc<Image>,
}

#[derive(Debug)]
enum Debug {
    /// Not read yet.
    Unread,
    /// Absent, or too much.
    Absent,
    Read(Box<Dwarf>),
}

impl Tables {
    /// Maps a file; `None` when it cannot be mapped or has other headers than when it was opened.
    pub(crate) fn open(image: &Arc<Image>) -> Option<Self> {
        let mapped = Mapped::new(image.bytes.file()?, image.bytes.len()).ok()?;
        if !image.has_its_headers() {
            return None;
        }
        // SAFETY: `symbols` is a field beside `mapped`, is not handed out, and gives copies of what it reads.
        let symbols = Symbols::new(unsafe { mapped.bytes() }, &image.elf);
        let dwarf = if is_object(image) { Debug::Absent } else { Debug::Unread };
        Some(Self {
            dwarf,
            dwarf_bytes: 0,
            index_bytes: 0,
            late: Duration::ZERO,
            symbols,
            alternate: None,
            mapped,
            image: Arc::clone(image),
        })
    }

    /// The symbol that certainly contains an address. One without a size extends to the next symbol, but not into another
    /// section, for example from `_init` into the jump table (PLT) after it.
    pub(crate) fn symbol(&self, vaddr: u64) -> Option<Symbol> {
        let section = |address| self.image.elf.section_at(address).map(|section| section.addr);
        let symbol = self.symbols.find(vaddr).filter(|symbol| !symbol.name.is_empty())?;
        (symbol.size > 0 || section(symbol.address) == section(vaddr)).then_some(symbol)
    }

    /// What the debug information says about an address.
    pub(crate) fn debug(&mut self, vaddr: u64) -> Option<Found> {
        if matches!(self.dwarf, Debug::Absent) {
            return None;
        }
        let start = Instant::now();
        let found = self.look_up(vaddr);
        self.late = (self.late + start.elapsed()).saturating_sub(TIME_EACH);
        if self.late > TIME {
            self.refuse();
        }
        found
    }

    /// Drops tables of earlier lookups when they take too much. The file is refused only if one lookup alone does.
    fn look_up(&mut self, vaddr: u64) -> Option<Found> {
        if self.dwarf_bytes - self.index_bytes > (MOST - self.index_bytes) / 2 {
            self.forget_debug();
        }
        let is_first = matches!(self.dwarf, Debug::Unread);
        let budget = Budget::new(MOST.saturating_sub(self.dwarf_bytes));
        if is_first {
            self.dwarf = self.read(&budget);
            self.index_bytes = budget.taken();
        }
        let found = match &self.dwarf {
            Debug::Read(dwarf) => dwarf.find(vaddr, &budget).ok().flatten(),
            _ => None,
        };
        self.dwarf_bytes += budget.taken();
        if !budget.is_spent() {
            return found;
        }
        if is_first {
            self.refuse();
            return None;
        }
        self.forget_debug();
        self.look_up(vaddr)
    }

    fn forget_debug(&mut self) {
        (self.dwarf, self.dwarf_bytes, self.index_bytes) = (Debug::Unread, 0, 0);
    }

    /// Gives up the debug information, because it costs too much.
    fn refuse(&mut self) {
        self.forget_debug();
        (self.dwarf, self.alternate) = (Debug::Absent, None);
    }

    fn read(&mut self, budget: &Budget) -> Debug {
        let alternate = self.image.alternate.clone();
        if let Some(other) = &alternate
            && self.alternate.is_none()
        {
            self.alternate = other.bytes.file().and_then(|file| Mapped::new(file, other.bytes.len()).ok());
        }
        // SAFETY: as below.
        let other = self.alternate.as_ref().map(|mapped| unsafe { mapped.bytes() });
        let other = other.zip(alternate.as_ref().map(|image| &image.elf));
        // SAFETY: `dwarf` is a field beside `mapped` and `alternate`, is dropped before them, and gives copies of what it reads.
        let file = unsafe { self.mapped.bytes() };
        // SAFETY: the same; both stay mapped as long as `dwarf` exists.
        let dwarf = unsafe { Dwarf::open((file, &self.image.elf), other, MOST, budget) };
        dwarf.ok().flatten().map_or(Debug::Absent, |dwarf| Debug::Read(Box::new(dwarf)))
    }

    /// Memory in use, in bytes: what is allocated for tables, without what gimli does not tell.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.symbols.bytes() + self.dwarf_bytes
    }

    /// Bytes that the next lookup reads of the mapped file, as an estimate.
    pub(crate) fn lookup_bytes(&self) -> u64 {
        let sizes = |names: &[&str]| names.iter().filter_map(|name| self.image.elf.section(name)).map(|s| s.size).sum();
        match self.dwarf {
            // The headers of all units are read once: one page of each at most.
            Debug::Unread => sizes(&[".symtab", ".debug_aranges", ".debug_info"]),
            _ => LOOKUP_BYTES,
        }
    }
}

/// Whether it is an object file. No process runs one, and its debug information has no addresses yet.
fn is_object(image: &Image) -> bool {
    image.bytes.array(16).map(u16::from_le_bytes) == Some(ET_REL)
}
