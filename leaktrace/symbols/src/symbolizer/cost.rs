//! Estimates the memory that blazesym needs for a file, and decides how much of the file it may read.
//!
//! blazesym allocates the sizes in a file's headers without checking them, so the headers are checked here first.

use crate::{blaze::Within, elf::Section, image::Image};
use object::elf::ET_REL;

/// Most memory that the tables of one file may take, in bytes, or the limit of the cache if that is larger. Beyond it, a file
/// gets no lines, or no names.
const MOST: u64 = 256 << 20;

/// How much of a file blazesym may read; `None` for nothing. Call it right before blazesym, which reads the headers again.
pub(super) fn permitted(image: &Image, limit: usize) -> Option<Within> {
    let most = MOST.max(limit as u64);
    // blazesym needs sections. It gets no file whose section headers are too damaged for this crate's reader.
    if image.elf.sections.is_empty() || symbols(image) > most {
        return None;
    }
    let everything =
        debug(image) <= most && !is_object(image) && image.may_be_followed() && image.unpacks_to_declared_sizes();
    let within = if everything { Within::Everything } else { Within::Symbols };
    // Checked last: unpacking takes time in which the file can be overwritten.
    image.has_its_headers().then_some(within)
}

/// Memory of blazesym's tables before any lookup, in bytes, as measured: an index of symbols, an index of compilation units,
/// and copies of compressed sections. Files themselves are mapped. Lookups are counted by `LOOKUP_BYTES`.
pub(super) fn fixed(image: &Image, within: Within) -> u64 {
    let debug = if within == Within::Everything { debug(image) } else { 0 };
    symbols(image).saturating_add(debug).saturating_add(4096)
}

/// Most bytes of debug information that lookups can read.
pub(super) fn read(image: &Image) -> u64 {
    let longest = |section: &Section| section.size.max(section.unpacked.unwrap_or(0));
    let of = |name: &str| image.elf.section(name).map_or(0, longest);
    of(".debug_info").saturating_add(of(".debug_line"))
}

fn symbols(image: &Image) -> u64 {
    (size(image, ".symtab") / 3).saturating_add(size(image, ".dynsym") / 3)
}

fn debug(image: &Image) -> u64 {
    let unpacked = image.elf.sections.iter().filter_map(|section| section.unpacked);
    unpacked.fold(size(image, ".debug_info") / 16, u64::saturating_add)
}

/// Size of all sections with this name. There can be several, and blazesym may read any of them.
fn size(image: &Image, name: &str) -> u64 {
    let sections = image.elf.sections.iter().filter(|section| section.name == name);
    sections.map(|section| section.size).fold(0, u64::saturating_add)
}

/// Whether it is an object file. No process runs one, and blazesym keeps all its relocations in memory.
fn is_object(image: &Image) -> bool {
    image.bytes.array(16).map(u16::from_le_bytes) == Some(ET_REL)
}
