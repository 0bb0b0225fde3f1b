//! From addresses on user-space stacks to names: function, file, line.
//!
//! Owns two steps. [`Placer`] turns an address into a module and an offset; it needs the process, so it works while the
//! process runs. [`Symbolizer`] names such a location later; it needs only the file, so it can also work for a recording from
//! another machine.
//!
//! - Must not run on the sampling path: naming reads files.
//! - Must not guess. A name comes from the file that was mapped; without that file, the location stays module and offset. A
//!   frame is on a stack because an unwind table, a checked frame pointer or the code itself says so.
//! - Must not trust a process or its files: every length is checked and every loop and allocation is bounded.
//! - Must not know the kernel side, or print.
//!
//! What each language needs for names is in `leaktrace/docs/languages.md`.

#![warn(unreachable_pub)]

mod blaze;
mod bytes;
mod c_library;
mod cache;
mod code_at;
mod demangle;
mod elf;
mod gopclntab;
mod image;
mod maps;
mod open;
mod packed;
mod perf_map;
mod placer;
mod process;
mod sample;
mod stacks;
mod symbolizer;
#[cfg(test)]
mod testing;
mod trust;
mod unwind;

pub use elf::ElfError;
pub use image::{ImageError, Images};
pub use placer::Placer;
pub use process::{Locator, ProcessError, ProcessMaps};
pub use symbolizer::{DEFAULT_CACHE_BYTES, Symbolizer};
