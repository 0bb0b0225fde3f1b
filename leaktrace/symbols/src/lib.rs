//! From addresses on user-space stacks to names. [`Placer`] turns addresses into modules and offsets while the process runs.
//! [`Symbolizer`] names them later from the files alone, so it also works for a recording from another machine.
//!
//! Must not guess: a name comes from the file that was mapped, and without that file the location stays module and offset. A
//! frame is on a stack because an unwind table, a checked frame pointer or the code itself says so.
//! Must not trust a process or its files: every length is checked, every loop and allocation is bounded. Must not name on
//! the sampling path, because naming reads files. Must not know the kernel side, or print.
//!
//! `leaktrace/docs/languages.md` says what each language needs for names.

#![warn(unreachable_pub)]

mod bytes;
mod c_library;
mod cache;
mod code_at;
mod demangle;
mod dwarf;
mod elf;
mod fetch;
mod gopclntab;
mod helper;
mod identity;
mod image;
mod mapped;
mod maps;
mod open;
mod packed;
mod perf_map;
mod placer;
mod process;
mod sample;
mod stacks;
mod symbolizer;
mod symtab;
mod tables;
#[cfg(test)]
mod testing;
mod trust;
mod unwind;
mod work;

pub use elf::ElfError;
pub use helper::{CountingAllocator, HelperOptions, Helpers, serve_if_helper};
pub use image::{ImageError, Images};
pub use mapped::give_pages_back;
pub use placer::Placer;
pub use process::{Locator, ProcessError, ProcessMaps};
pub use symbolizer::{DEFAULT_CACHE_BYTES, Symbolizer};
