//! What blazesym takes of memory for a file, and how much of the file it may read therefore.
//!
//! blazesym allocates what a file's headers say before it looks whether that can be; so they are judged before it is asked.

use crate::{blaze::Within, elf::Section, image::Image};
use object::elf::ET_REL;

/// Most memory that the tables of one file may take for a moment where the cache is smaller, in bytes. What would take more
/// gets no lines, or no names.
const MOST: u64 = 256 << 20;

/// How much of a file blazesym may read; `None` when nothing. To be asked right before: blazesym reads the headers again.
pub(super) fn permitted(image: &Image, limit: usize) -> Option<Within> {
    let most = MOST.max(limit as u64);
    // All that blazesym looks for are sections. A table of sections that is too damaged to be read here is not handed on.
    if image.elf.sections.is_empty() || symbols(image) > most {
        return None;
    }
    let everything =
        debug(image) <= most && !is_object(image) && image.may_be_followed() && image.keeps_to_what_it_says();
    let within = if everything { Within::Everything } else { Within::Symbols };
    // Last, for unpacking takes time in which the file may be written over.
    image.has_its_headers().then_some(within)
}

/// What blazesym was measured to allocate, about: an index of symbols and one of units, and copies of compressed sections;
/// files themselves are mapped. Of what lookups read, see [`super::LOOKUP_BYTES`].
pub(super) fn fixed(image: &Image, within: Within) -> u64 {
    let debug = if within == Within::Everything { debug(image) } else { 0 };
    symbols(image).saturating_add(debug).saturating_add(4096)
}

/// What lookups read of debug information at the most.
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

/// Size of all sections of this name: there may be several, and which of them blazesym takes is its own affair.
fn size(image: &Image, name: &str) -> u64 {
    let sections = image.elf.sections.iter().filter(|section| section.name == name);
    sections.map(|section| section.size).fold(0, u64::saturating_add)
}

/// Whether it is not linked yet. Nobody runs such a file, and blazesym keeps all relocations of one.
fn is_object(image: &Image) -> bool {
    image.bytes.array(16).map(u16::from_le_bytes) == Some(ET_REL)
}
