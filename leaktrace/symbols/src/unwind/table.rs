//! The unwind tables of a file, `.eh_frame` and `.debug_frame`, with an index to search them.
//!
//! The sections are copied once, with a limit, so that later changes of the file have no effect.

use crate::{elf::Segment, image::Image};
use gimli::{
    BaseAddresses, CieOrFde, CommonInformationEntry, DebugFrame, EhFrame, EhFrameHdr, EndianSlice,
    FrameDescriptionEntry, LittleEndian, UnwindContext, UnwindOffset, UnwindSection, UnwindTable, UnwindTableRow,
};

/// Largest table, in bytes. Chromium's has 15 MB.
const MAX_TABLE: u64 = 128 << 20;
/// Most functions in an index that is built here.
const MAX_ENTRIES: usize = 4 << 20;
/// Longest entry of a function (FDE), in bytes. One in rustc's library has 34 kB.
const MAX_FDE: usize = 64 << 10;
/// Longest shared entry (CIE), in bytes. Compilers write about 30; gimli reads it again for each FDE that refers to it.
const MAX_CIE: u64 = 256;
/// Bytes of entries that a sample may read, per function in it. The average entry has 50 bytes.
const SAMPLED_BYTES: usize = 512;

pub(crate) type Reader<'a> = EndianSlice<'a, LittleEndian>;
pub(super) type Fde<'a> = FrameDescriptionEntry<Reader<'a>>;
pub(crate) type Rows<'a, 'c> = UnwindTable<'a, 'c, Reader<'a>>;

/// The unwind tables of a file. A program that is linked statically with musl has two: musl's code is in `.debug_frame` only,
/// the program's in `.eh_frame`.
#[derive(Debug)]
pub(crate) struct Table {
    sections: Vec<Frames>,
    bases: BaseAddresses,
    address_size: u8,
}

#[derive(Debug)]
struct Frames {
    bytes: Vec<u8>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// `.eh_frame`, with start address and entry offset of each function, sorted.
    EhFrame(Vec<(u64, usize)>),
    /// The same for `.debug_frame`.
    DebugFrame(Vec<(u64, usize)>),
}

impl Kind {
    /// Start address and entry offset of each function, sorted.
    fn index(&self) -> &[(u64, usize)] {
        match self {
            Self::EhFrame(index) | Self::DebugFrame(index) => index,
        }
    }
}

/// The unwind rules at an address.
pub(super) struct Entry<'t, 'c> {
    /// The rules.
    pub row: &'c UnwindTableRow<usize>,
    /// The function's entry.
    pub fde: Fde<'t>,
    /// The section, to read expressions from. `EhFrame` also works for `.debug_frame`: offsets of expressions are the same.
    pub section: EhFrame<Reader<'t>>,
    /// Whether the kernel built the frame to deliver a signal.
    pub is_signal: bool,
}

impl Table {
    /// Reads the tables of a file. `None` when it has no readable ones.
    pub(crate) fn read(image: &Image) -> Option<Self> {
        let elf = &image.elf;
        let start = |name: &str| elf.section(name).map_or(0, |section| section.addr);
        let bases = BaseAddresses::default()
            .set_text(start(".text"))
            .set_got(start(".got"))
            .set_eh_frame(start(".eh_frame"))
            .set_eh_frame_hdr(start(".eh_frame_hdr"));
        let mut table = Self { sections: Vec::new(), bases, address_size: if elf.is_64 { 8 } else { 4 } };
        let section = |name: &str| {
            let section = elf.section(name).filter(|section| section.plain && section.size > 0)?;
            image.bytes.copy(section.offset, section.size, MAX_TABLE)
        };
        if let Some(bytes) = section(".eh_frame") {
            table.add_eh_frame(bytes, section(".eh_frame_hdr").as_deref());
        } else {
            // A file without section headers still has the program header `PT_GNU_EH_FRAME`.
            table.add_from_segment(image);
        }
        if let Some(bytes) = section(".debug_frame") {
            let index = index(debug_frame(&bytes, table.address_size), &bytes, &table.bases);
            table.sections.push(Frames { bytes, kind: Kind::DebugFrame(index) });
        }
        (!table.sections.is_empty()).then_some(table)
    }

    fn add_eh_frame(&mut self, bytes: Vec<u8>, header: Option<&[u8]>) {
        let section = || eh_frame(&bytes, self.address_size);
        // The linker's index saves reading all entries. It is copied with checks, because gimli's own search overflows in a
        // damaged one.
        let index = header
            .and_then(|header| self.linkers_index(header))
            .unwrap_or_else(|| index(section(), &bytes, &self.bases));
        self.sections.push(Frames { bytes, kind: Kind::EhFrame(index) });
    }

    fn linkers_index(&self, header: &[u8]) -> Option<Vec<(u64, usize)>> {
        let parsed = EhFrameHdr::new(header, LittleEndian).parse(&self.bases, self.address_size).ok()?;
        let start = parsed.eh_frame_ptr().direct().ok()?;
        let table = parsed.table()?;
        let mut entries = table.iter(&self.bases);
        let mut index = Vec::new();
        while let Ok(Some((function, entry))) = entries.next() {
            let offset = entry.direct().ok()?.checked_sub(start)?;
            index.push((function.direct().ok()?, usize::try_from(offset).ok()?));
        }
        (!index.is_empty() && index.is_sorted()).then_some(index)
    }

    fn add_from_segment(&mut self, image: &Image) -> Option<()> {
        let (address, size) = image.elf.eh_frame_hdr?;
        let header = image.bytes.copy(image.elf.offset_of(address)?, size, MAX_TABLE)?;
        self.bases = self.bases.clone().set_eh_frame_hdr(address);
        let parsed = EhFrameHdr::new(&header, LittleEndian).parse(&self.bases, self.address_size).ok()?;
        let start = parsed.eh_frame_ptr().direct().ok()?;
        self.bases = self.bases.clone().set_eh_frame(start);
        let offset = image.elf.offset_of(start)?;
        // The section's end is not known; the segment's end is the limit.
        let left = |segment: &Segment| segment.filesz.checked_sub(offset.checked_sub(segment.offset)?);
        let len = image.elf.segments.iter().find_map(left)?;
        self.add_eh_frame(image.bytes.copy(offset, len, MAX_TABLE)?, Some(&header));
        Some(())
    }

    /// Memory in use, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let size = |frames: &Frames| frames.bytes.len() + size_of_val(frames.kind.index());
        self.sections.iter().map(size).sum()
    }

    /// The entry of the function that contains an address.
    pub(super) fn fde(&self, vaddr: u64) -> Option<Fde<'_>> {
        self.sections.iter().find_map(|frames| self.fde_in(frames, vaddr))
    }

    fn fde_in<'t>(&'t self, frames: &'t Frames, vaddr: u64) -> Option<Fde<'t>> {
        let eh_frame = eh_frame(&frames.bytes, self.address_size);
        let fde = match &frames.kind {
            Kind::EhFrame(index) => {
                eh_frame.fde_from_offset(&self.bases, search(index, vaddr)?.into(), short_cie(&frames.bytes)).ok()?
            }
            Kind::DebugFrame(index) => {
                let debug_frame = debug_frame(&frames.bytes, self.address_size);
                debug_frame.fde_from_offset(&self.bases, search(index, vaddr)?.into(), short_cie(&frames.bytes)).ok()?
            }
        };
        (fde.contains(vaddr) && fde.entry_len() <= MAX_FDE).then_some(fde)
    }

    /// The unwind rules at an address.
    pub(super) fn entry<'t, 'c>(&'t self, vaddr: u64, context: &'c mut UnwindContext<usize>) -> Option<Entry<'t, 'c>> {
        let (frames, fde) = self.sections.iter().find_map(|frames| Some((frames, self.fde_in(frames, vaddr)?)))?;
        let section = eh_frame(&frames.bytes, self.address_size);
        let row = match &frames.kind {
            Kind::DebugFrame(_) => {
                let frames = debug_frame(&frames.bytes, self.address_size);
                fde.unwind_info_for_address(&frames, &self.bases, context, vaddr)
            }
            Kind::EhFrame(_) => fde.unwind_info_for_address(&section, &self.bases, context, vaddr),
        };
        let is_signal = fde.is_signal_trampoline();
        Some(Entry { row: row.ok()?, fde, section, is_signal })
    }

    /// Calls `visit` with the rows of about `limit` functions, spread evenly. Skips long entries once the sample has read too
    /// many bytes: in a hostile file every entry can be long.
    pub(crate) fn sample(&self, limit: usize, mut visit: impl FnMut(Rows<'_, '_>)) {
        let mut context = UnwindContext::new();
        let mut room = limit.saturating_mul(SAMPLED_BYTES);
        for frames in &self.sections {
            let debug_frame = debug_frame(&frames.bytes, self.address_size);
            let eh_frame = eh_frame(&frames.bytes, self.address_size);
            let index = frames.kind.index();
            let step = index.len().div_ceil(limit.max(1)).max(1);
            for (vaddr, _) in index.iter().copied().step_by(step) {
                let Some(fde) = self.fde_in(frames, vaddr) else { continue };
                let Some(left) = room.checked_sub(fde.entry_len() + fde.cie().entry_len()) else { continue };
                room = left;
                let rows = match &frames.kind {
                    Kind::DebugFrame(_) => fde.rows(&debug_frame, &self.bases, &mut context),
                    Kind::EhFrame(_) => fde.rows(&eh_frame, &self.bases, &mut context),
                };
                if let Ok(rows) = rows {
                    visit(rows);
                }
            }
        }
    }
}

fn eh_frame(bytes: &[u8], address_size: u8) -> EhFrame<Reader<'_>> {
    let mut frames = EhFrame::new(bytes, LittleEndian);
    frames.set_address_size(address_size);
    frames
}

fn debug_frame(bytes: &[u8], address_size: u8) -> DebugFrame<Reader<'_>> {
    let mut frames = DebugFrame::new(bytes, LittleEndian);
    frames.set_address_size(address_size);
    frames
}

/// Start address and entry offset of every function, sorted. Ends at the first entry that cannot be parsed.
fn index<'a, S: UnwindSection<Reader<'a>>>(section: S, bytes: &[u8], bases: &BaseAddresses) -> Vec<(u64, usize)> {
    let mut index = Vec::new();
    let mut entries = section.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        if let CieOrFde::Fde(fde) = entry
            && index.len() < MAX_ENTRIES
            && let Ok(fde) = fde.parse(short_cie(bytes))
        {
            index.push((fde.initial_address(), fde.offset()));
        }
    }
    index.sort_unstable();
    index
}

/// Reads a shared entry (CIE), unless it is too long to be read again for each function.
fn short_cie<'a, S: UnwindSection<Reader<'a>>>(
    bytes: &[u8],
) -> impl FnMut(&S, &BaseAddresses, S::Offset) -> gimli::Result<CommonInformationEntry<Reader<'a>>> {
    |section, bases, offset| match length_at(bytes, UnwindOffset::into(offset)) {
        Some(length) if length <= MAX_CIE => section.cie_from_offset(bases, offset),
        _ => Err(gimli::Error::UnknownAugmentation),
    }
}

/// Length of an entry, from its first field: 4 bytes, or 8 bytes after the mark 0xffffffff.
fn length_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let (word, rest) = bytes.get(offset..)?.split_first_chunk().map(|(raw, rest)| (u32::from_le_bytes(*raw), rest))?;
    if word == u32::MAX { rest.first_chunk().map(|raw| u64::from_le_bytes(*raw)) } else { Some(u64::from(word)) }
}

fn search(index: &[(u64, usize)], vaddr: u64) -> Option<usize> {
    let at = index.partition_point(|(start, _)| *start <= vaddr).checked_sub(1)?;
    index.get(at).map(|(_, offset)| *offset)
}

#[cfg(test)]
mod tests;
