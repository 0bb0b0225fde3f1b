//! User-space stacks: from addresses to names.
//!
//! Steps that do not need each other's time: a [`Locator`] places addresses while their process lives, a [`Symbolizer`]
//! names places when somebody looks, on this machine or another. Nothing here runs on the sampling path.

pub mod bench;
mod bytes;
mod cache;
mod code_at;
mod demangle;
mod elf;
mod fold;
mod gopclntab;
mod image;
mod location;
mod maps;
mod open;
mod perf_map;
mod process;
mod stacks;
mod symbolizer;
#[cfg(test)]
mod testing;
mod trust;
mod unwind;

pub use fold::{Says, says, short_name};
pub use image::Images;
pub use location::{BuildId, Content, Location, Module, ModuleId, ModuleKind, Modules};
pub use maps::{Backing, Mapping, Mappings};
pub use process::{Locator, ProcessError, ProcessMaps, Role};
pub use stacks::{PlacedStack, Stacks};
pub use symbolizer::{DEFAULT_CACHE_BYTES, Symbolizer};
pub use trust::{FramePointers, Trust, TrustCache};
pub use unwind::{DEFAULT_TABLE_BYTES, Ended, LeafFrame, Stack, Unwinder, Walk, Why, is_after_call};
