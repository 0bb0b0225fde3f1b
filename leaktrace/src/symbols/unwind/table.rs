//! Unwind tables of a file: `.eh_frame`, or `.debug_frame` where there is none, with an index to search them.
//!
//! Copies of the sections, read once and bounded, so that a file that changes meanwhile cannot do harm.

use crate::symbols::image::Image;
use gimli::{
    BaseAddresses, CieOrFde, DebugFrame, EhFrame, EhFrameHdr, EndianSlice, FrameDescriptionEntry, LittleEndian,
    UnwindContext, UnwindSection, UnwindTableRow,
};

/// Largest table that is read, in bytes. Chromium's has 15 MB.
const MAX_TABLE: u64 = 128 << 20;
/// Most functions in an index that is made here.
const MAX_ENTRIES: usize = 4 << 20;

pub(super) type Reader<'a> = EndianSlice<'a, LittleEndian>;
pub(super) type Fde<'a> = FrameDescriptionEntry<Reader<'a>>;

/// The unwind tables of a file.
#[derive(Debug)]
pub struct Table {
    frames: Vec<u8>,
    kind: Kind,
    bases: BaseAddresses,
    address_size: u8,
}

#[derive(Debug)]
enum Kind {
    /// `.eh_frame` with the linker's index.
    Indexed(Vec<u8>),
    /// `.eh_frame`, and where the entry of each function is, by address.
    EhFrame(Vec<(u64, usize)>),
    /// The same for `.debug_frame`.
    DebugFrame(Vec<(u64, usize)>),
}

/// What a table says of an address.
pub(super) struct Entry<'t, 'c> {
    /// The rules.
    pub row: &'c UnwindTableRow<usize>,
    /// The function's entry.
    pub fde: Fde<'t>,
    /// The table they are from, for expressions.
    pub section: EhFrame<Reader<'t>>,
    /// Whether the kernel made the frame to deliver a signal.
    pub is_signal: bool,
}

impl Table {
    /// Reads the tables of a file. `None` when it has none that are sound.
    pub fn read(image: &Image) -> Option<Self> {
        let elf = &image.elf;
        let address_size = if elf.is_64 { 8 } else { 4 };
        let start = |name: &str| elf.section(name).map_or(0, |section| section.addr);
        let mut bases = BaseAddresses::default().set_text(start(".text")).set_got(start(".got"));
        let section = |name: &str| {
            let section = elf.section(name).filter(|section| section.plain && section.size > 0)?;
            Some((section.addr, image.bytes.copy(section.offset, section.size, MAX_TABLE)?))
        };
        if let Some((address, frames)) = section(".eh_frame") {
            bases = bases.set_eh_frame(address);
            let table = |kind, bases| Self { frames: Vec::new(), kind, bases, address_size };
            if let Some((address, header)) = section(".eh_frame_hdr") {
                bases = bases.set_eh_frame_hdr(address);
                if is_searchable(&header, &bases, address_size) {
                    return Some(Self { frames, ..table(Kind::Indexed(header), bases) });
                }
            }
            let index = index(eh_frame(&frames, address_size), &bases);
            if !index.is_empty() {
                return Some(Self { frames, ..table(Kind::EhFrame(index), bases) });
            }
        }
        // A stripped section table leaves the program header.
        if let Some(table) = Self::from_segment(image, address_size) {
            return Some(table);
        }
        let (_, frames) = section(".debug_frame")?;
        let index = index(debug_frame(&frames, address_size), &bases);
        (!index.is_empty()).then_some(Self { frames, kind: Kind::DebugFrame(index), bases, address_size })
    }

    fn from_segment(image: &Image, address_size: u8) -> Option<Self> {
        let (address, size) = image.elf.eh_frame_hdr?;
        let header = image.bytes.copy(image.elf.offset_of(address)?, size, MAX_TABLE)?;
        let bases = BaseAddresses::default().set_eh_frame_hdr(address);
        let parsed = EhFrameHdr::new(&header, LittleEndian).parse(&bases, address_size).ok()?;
        let frames_at = parsed.eh_frame_ptr().direct().ok()?;
        let offset = image.elf.offset_of(frames_at)?;
        let holds = |segment: &&crate::symbols::elf::Segment| {
            offset.checked_sub(segment.offset).is_some_and(|at| at < segment.filesz)
        };
        let segment = image.elf.segments.iter().find(holds)?;
        let len = segment.offset.checked_add(segment.filesz)?.checked_sub(offset)?;
        let frames = image.bytes.copy(offset, len, MAX_TABLE)?;
        let bases = bases.set_eh_frame(frames_at);
        is_searchable(&header, &bases, address_size)
            .then(|| Self { frames, kind: Kind::Indexed(header.clone()), bases, address_size })
    }

    /// Memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.frames.len()
            + match &self.kind {
                Kind::Indexed(header) => header.len(),
                Kind::EhFrame(index) | Kind::DebugFrame(index) => index.len() * size_of::<(u64, usize)>(),
            }
    }

    /// The entry of the function that holds an address.
    pub(super) fn fde(&self, vaddr: u64) -> Option<Fde<'_>> {
        let fde = match &self.kind {
            Kind::Indexed(header) => {
                let parsed = EhFrameHdr::new(header, LittleEndian).parse(&self.bases, self.address_size).ok()?;
                let frames = eh_frame(&self.frames, self.address_size);
                parsed.table()?.fde_for_address(&frames, &self.bases, vaddr, EhFrame::cie_from_offset).ok()?
            }
            Kind::EhFrame(index) => {
                let frames = eh_frame(&self.frames, self.address_size);
                frames.fde_from_offset(&self.bases, search(index, vaddr)?.into(), EhFrame::cie_from_offset).ok()?
            }
            Kind::DebugFrame(index) => {
                let frames = debug_frame(&self.frames, self.address_size);
                frames.fde_from_offset(&self.bases, search(index, vaddr)?.into(), DebugFrame::cie_from_offset).ok()?
            }
        };
        fde.contains(vaddr).then_some(fde)
    }

    /// What to do at an address.
    pub(super) fn entry<'t, 'c>(&'t self, vaddr: u64, context: &'c mut UnwindContext<usize>) -> Option<Entry<'t, 'c>> {
        let fde = self.fde(vaddr)?;
        let section = eh_frame(&self.frames, self.address_size);
        let row = match &self.kind {
            Kind::DebugFrame(_) => {
                let frames = debug_frame(&self.frames, self.address_size);
                fde.unwind_info_for_address(&frames, &self.bases, context, vaddr)
            }
            Kind::Indexed(_) | Kind::EhFrame(_) => fde.unwind_info_for_address(&section, &self.bases, context, vaddr),
        };
        let is_signal = fde.is_signal_trampoline();
        Some(Entry { row: row.ok()?, fde, section, is_signal })
    }

    /// Calls `visit` with the address and the size of functions, spread evenly, at most `limit` of them.
    pub(super) fn sample(&self, limit: usize, mut visit: impl FnMut(&Fde<'_>)) {
        let index = match &self.kind {
            Kind::Indexed(_) => &index(eh_frame(&self.frames, self.address_size), &self.bases),
            Kind::EhFrame(index) | Kind::DebugFrame(index) => index,
        };
        let step = index.len().div_ceil(limit.max(1)).max(1);
        for (address, _) in index.iter().step_by(step) {
            if let Some(fde) = self.fde(*address) {
                visit(&fde);
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

fn is_searchable(header: &[u8], bases: &BaseAddresses, address_size: u8) -> bool {
    let parsed = EhFrameHdr::new(header, LittleEndian).parse(bases, address_size);
    parsed.is_ok_and(|parsed| parsed.table().is_some())
}

/// Start address and place of every function's entry, by address. Ends where the section stops to make sense.
fn index<'a, S: UnwindSection<Reader<'a>>>(section: S, bases: &BaseAddresses) -> Vec<(u64, usize)> {
    let mut index = Vec::new();
    let mut entries = section.entries(bases);
    while let Ok(Some(entry)) = entries.next() {
        if let CieOrFde::Fde(fde) = entry
            && let Ok(fde) = fde.parse(S::cie_from_offset)
            && index.len() < MAX_ENTRIES
        {
            index.push((fde.initial_address(), fde.offset()));
        }
    }
    index.sort_unstable();
    index
}

fn search(index: &[(u64, usize)], vaddr: u64) -> Option<usize> {
    let at = index.partition_point(|(start, _)| *start <= vaddr).checked_sub(1)?;
    index.get(at).map(|(_, offset)| *offset)
}
