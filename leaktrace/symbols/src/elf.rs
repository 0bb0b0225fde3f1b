//! The facts of an ELF file that placing and unwinding need: segments, sections, build id, debug link.
//!
//! Reads headers only, never symbols. Every size in the file is checked before it is used.

use super::bytes::Bytes;
use leaktrace_model::BuildId;
use object::elf;
use thiserror::Error;

/// Most program headers. A file with more is damaged.
const MAX_SEGMENTS: u64 = 4096;
/// Most section headers. Of a file with more, no section is read.
const MAX_SECTIONS: u64 = 16_384;
/// Longest table of section names, in bytes.
const MAX_NAMES: u64 = 1 << 20;
/// Longest note segment or section, in bytes.
const MAX_NOTES: u64 = 64 << 10;

/// Why a file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ElfError {
    /// It does not start with the ELF magic.
    #[error("not an ELF file")]
    NotElf,
    /// Big-endian, or of a class that is neither 32 nor 64 bits.
    #[error("an ELF file of another byte order or class")]
    Foreign,
    /// A header is outside the file, or has an impossible size.
    #[error("a damaged ELF file")]
    Damaged,
}

/// A loadable segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Offset in the file.
    pub offset: u64,
    /// Address before relocation.
    pub vaddr: u64,
    /// Size in the file, in bytes.
    pub filesz: u64,
    /// `PF_X`.
    pub executable: bool,
    /// `PF_W`.
    pub writable: bool,
}

/// A section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// Name; bytes that are not UTF-8 are replaced.
    pub name: String,
    /// Address before relocation; 0 when it is not loaded.
    pub addr: u64,
    /// Offset in the file.
    pub offset: u64,
    /// Size in bytes.
    pub size: u64,
    /// Whether the file has its bytes unchanged: neither absent (`SHT_NOBITS`) nor compressed.
    pub plain: bool,
    /// Uncompressed size as the compression header gives it; `None` when it is not compressed.
    pub unpacked: Option<u64>,
}

/// The headers of an ELF file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Elf {
    /// `e_machine`.
    pub machine: u16,
    /// Whether addresses have 64 bits.
    pub is_64: bool,
    /// Address of the program's entry point.
    pub entry: u64,
    /// Loadable segments, in file order.
    pub segments: Vec<Segment>,
    /// Sections, in file order; empty when there are none or they are damaged.
    pub sections: Vec<Section>,
    /// GNU build id.
    pub build_id: Option<BuildId>,
    /// `PT_GNU_EH_FRAME`: address and size of the unwind index.
    pub eh_frame_hdr: Option<(u64, u64)>,
}

struct Header {
    is_64: bool,
    machine: u16,
    entry: u64,
    phoff: u64,
    shoff: u64,
    phentsize: u64,
    phnum: u64,
    shentsize: u64,
    shnum: u64,
    shstrndx: u64,
}

impl Elf {
    /// Reads a file's headers. Damaged section headers count as no sections; damaged program headers are an error.
    ///
    /// # Errors
    /// When it is not a little-endian ELF file, or its program headers are damaged.
    pub(crate) fn read(bytes: &Bytes) -> Result<Self, ElfError> {
        let mut header = Header::read(bytes)?;
        let mut file = Self { machine: header.machine, is_64: header.is_64, entry: header.entry, ..Self::default() };
        header.extend(bytes);
        file.read_segments(bytes, &header)?;
        file.sections = read_sections(bytes, &header).unwrap_or_default();
        if file.build_id.is_none() {
            file.build_id = file
                .section(".note.gnu.build-id")
                .and_then(|note| bytes.copy(note.offset, note.size, MAX_NOTES))
                .and_then(|note| find_build_id(&note));
        }
        Ok(file)
    }

    fn read_segments(&mut self, bytes: &Bytes, header: &Header) -> Result<(), ElfError> {
        if header.phnum > MAX_SEGMENTS {
            return Err(ElfError::Damaged);
        }
        let entry = if header.is_64 { 56 } else { 32 };
        if header.phnum > 0 && header.phentsize != entry {
            return Err(ElfError::Damaged);
        }
        let table = bytes.copy(header.phoff, header.phnum * entry, MAX_SEGMENTS * entry).ok_or(ElfError::Damaged)?;
        for raw in table.chunks_exact(if header.is_64 { 56 } else { 32 }) {
            let word = |at| u64::from(u32_at(raw, at));
            let (kind, flags, offset, vaddr, filesz, memsz) = if header.is_64 {
                (u32_at(raw, 0), u32_at(raw, 4), u64_at(raw, 8), u64_at(raw, 16), u64_at(raw, 32), u64_at(raw, 40))
            } else {
                (u32_at(raw, 0), u32_at(raw, 24), word(4), word(8), word(16), word(20))
            };
            match kind {
                elf::PT_LOAD if offset.checked_add(filesz).is_some() && vaddr.checked_add(filesz).is_some() => {
                    self.segments.push(Segment {
                        offset,
                        vaddr,
                        filesz,
                        executable: flags & elf::PF_X != 0,
                        writable: flags & elf::PF_W != 0,
                    });
                }
                elf::PT_NOTE if self.build_id.is_none() => {
                    self.build_id = bytes.copy(offset, filesz, MAX_NOTES).and_then(|note| find_build_id(&note));
                }
                elf::PT_GNU_EH_FRAME => self.eh_frame_hdr = Some((vaddr, memsz)),
                _ => {}
            }
        }
        Ok(())
    }

    /// The first section with this name.
    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The loaded section that contains an address.
    pub(crate) fn section_at(&self, vaddr: u64) -> Option<&Section> {
        self.sections
            .iter()
            .find(|section| section.addr != 0 && vaddr.checked_sub(section.addr).is_some_and(|at| at < section.size))
    }

    /// Address, before relocation, of a byte of the file. Where segments overlap, the executable one is used.
    pub(crate) fn vaddr_of(&self, file_offset: u64) -> Option<u64> {
        let holds = |segment: &&Segment| file_offset.checked_sub(segment.offset).is_some_and(|at| at < segment.filesz);
        let mut executable = self.segments.iter().filter(|segment| segment.executable);
        let segment = executable.find(holds).or_else(|| self.segments.iter().find(holds))?;
        (file_offset - segment.offset).checked_add(segment.vaddr)
    }

    /// Offset in the file of the byte at an address before relocation.
    pub(crate) fn offset_of(&self, vaddr: u64) -> Option<u64> {
        let holds = |segment: &&Segment| vaddr.checked_sub(segment.vaddr).is_some_and(|at| at < segment.filesz);
        let segment = self.segments.iter().find(holds)?;
        (vaddr - segment.vaddr).checked_add(segment.offset)
    }

    /// Name of the separate debug file and the CRC-32 of its content, from `.gnu_debuglink`.
    pub(crate) fn debug_link(&self, bytes: &Bytes) -> Option<(String, u32)> {
        let section = self.section(".gnu_debuglink")?;
        let link = bytes.copy(section.offset, section.size, 4096)?;
        let end = link.iter().position(|&byte| byte == 0)?;
        let name = std::str::from_utf8(&link[..end]).ok()?;
        let crc = link.get((end + 4) / 4 * 4..)?.first_chunk().map(|raw| u32::from_le_bytes(*raw))?;
        // Names with a directory are refused: they could lead to any file.
        (!name.is_empty() && !name.contains('/')).then(|| (name.to_owned(), crc))
    }
}

impl Header {
    fn read(bytes: &Bytes) -> Result<Self, ElfError> {
        let ident: [u8; 16] = bytes.array(0).ok_or(ElfError::NotElf)?;
        if ident[..4] != elf::ELFMAG {
            return Err(ElfError::NotElf);
        }
        if ident[5] != elf::ELFDATA2LSB {
            return Err(ElfError::Foreign);
        }
        let half = |raw: &[u8], at| u64::from(u16_at(raw, at));
        match ident[4] {
            elf::ELFCLASS64 => {
                let raw: [u8; 64] = bytes.array(0).ok_or(ElfError::Damaged)?;
                Ok(Self {
                    is_64: true,
                    machine: u16_at(&raw, 18),
                    entry: u64_at(&raw, 24),
                    phoff: u64_at(&raw, 32),
                    shoff: u64_at(&raw, 40),
                    phentsize: half(&raw, 54),
                    phnum: half(&raw, 56),
                    shentsize: half(&raw, 58),
                    shnum: half(&raw, 60),
                    shstrndx: half(&raw, 62),
                })
            }
            elf::ELFCLASS32 => {
                let raw: [u8; 52] = bytes.array(0).ok_or(ElfError::Damaged)?;
                Ok(Self {
                    is_64: false,
                    machine: u16_at(&raw, 18),
                    entry: u64::from(u32_at(&raw, 24)),
                    phoff: u64::from(u32_at(&raw, 28)),
                    shoff: u64::from(u32_at(&raw, 32)),
                    phentsize: half(&raw, 42),
                    phnum: half(&raw, 44),
                    shentsize: half(&raw, 46),
                    shnum: half(&raw, 48),
                    shstrndx: half(&raw, 50),
                })
            }
            _ => Err(ElfError::Foreign),
        }
    }

    /// Counts that do not fit into the ELF header are in the first section header.
    fn extend(&mut self, bytes: &Bytes) {
        if self.shoff == 0 || (self.shnum != 0 && self.shstrndx != u64::from(elf::SHN_XINDEX)) {
            return;
        }
        if self.is_64
            && let Some(raw) = bytes.array::<64>(self.shoff)
        {
            if self.shnum == 0 {
                self.shnum = u64_at(&raw, 32);
            }
            if self.shstrndx == u64::from(elf::SHN_XINDEX) {
                self.shstrndx = u64::from(u32_at(&raw, 40));
            }
        }
    }
}

fn read_sections(bytes: &Bytes, header: &Header) -> Option<Vec<Section>> {
    let entry: u64 = if header.is_64 { 64 } else { 40 };
    if header.shoff == 0 || header.shentsize != entry || header.shnum > MAX_SECTIONS {
        return None;
    }
    let table = bytes.copy(header.shoff, header.shnum * entry, MAX_SECTIONS * entry)?;
    let place = |raw: &[u8]| {
        if header.is_64 {
            (u64_at(raw, 8), u64_at(raw, 16), u64_at(raw, 24), u64_at(raw, 32))
        } else {
            let word = |at| u64::from(u32_at(raw, at));
            (word(8), word(12), word(16), word(20))
        }
    };
    let rows: Vec<&[u8]> = table.chunks_exact(usize::try_from(entry).ok()?).collect();
    let (_, _, names_at, names_len) = place(rows.get(usize::try_from(header.shstrndx).ok()?)?);
    let names = bytes.copy(names_at, names_len, MAX_NAMES)?;
    let sections = rows.iter().map(|raw| {
        let (flags, addr, offset, size) = place(raw);
        let name = names.get(usize::try_from(u32_at(raw, 0)).unwrap_or(usize::MAX)..).unwrap_or_default();
        let name = &name[..name.iter().take(64).position(|&byte| byte == 0).unwrap_or(name.len().min(64))];
        let packed = flags & u64::from(elf::SHF_COMPRESSED) != 0;
        let plain = u32_at(raw, 4) != elf::SHT_NOBITS && !packed;
        // Compression header: method, padding (64 bits only), size, alignment.
        let declared = || {
            if header.is_64 {
                bytes.array::<16>(offset).map_or(0, |raw| u64_at(&raw, 8))
            } else {
                bytes.array::<8>(offset).map_or(0, |raw| u64::from(u32_at(&raw, 4)))
            }
        };
        let unpacked = packed.then(declared);
        Section { name: String::from_utf8_lossy(name).into_owned(), addr, offset, size, plain, unpacked }
    });
    Some(sections.collect())
}

/// Finds the build id among notes. A note: length of name, length of content, type, name, content; both padded to 4 bytes.
fn find_build_id(mut notes: &[u8]) -> Option<BuildId> {
    loop {
        let (head, rest) = notes.split_first_chunk::<12>()?;
        let padded = |len: usize| len.checked_add(3).map(|len| len & !3);
        let name_len = usize::try_from(u32_at(head, 0)).ok()?;
        let content_len = usize::try_from(u32_at(head, 4)).ok()?;
        let content = rest.get(padded(name_len)?..)?;
        if u32_at(head, 8) == elf::NT_GNU_BUILD_ID && rest.get(..name_len)? == b"GNU\0" {
            return BuildId::new(content.get(..content_len)?);
        }
        notes = content.get(padded(content_len)?..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |raw| u16::from_le_bytes(*raw))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |raw| u32::from_le_bytes(*raw))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |raw| u64::from_le_bytes(*raw))
}

#[cfg(test)]
mod tests;
