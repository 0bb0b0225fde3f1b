//! User-space stacks: from addresses to names.
//!
//! Steps that do not need each other's time: [`Stacks`] turns what a hook captured into places while the process lives, a
//! [`Symbolizer`] names places when somebody looks, on this machine or, from a recording, on another. Nothing here runs on
//! the sampling path, and nothing here guesses: an address is named by a file that is known to be the one that was mapped,
//! or it stays module and offset; a frame is on a stack because a table, a checked frame pointer or the code itself says so.
//!
//! # What each language needs
//!
//! | language | to switch on | gives |
//! | --- | --- | --- |
//! | C, C++ | nothing; `-g` for lines | functions; with debug information (also in a separate file, by build id or debug link, but not in a `.dwo` or `.dwp`) files, lines, inlined functions. Callers without frame pointers come from `.eh_frame`. glibc itself has functions only: its debug information is not read |
//! | Rust | nothing; `debug = "line-tables-only"` for lines | the same |
//! | Go 1.16 and later | nothing, stripped or not | functions, files, lines, inlined functions from `.gopclntab` |
//! | Go calling C through cgo | nothing | the C functions, and where they enter from Go; the Go callers are on another stack, of which there is no copy |
//! | musl | nothing | the same as for C; musl itself has no tables, the ends of its functions are read instead |
//! | Python 3.12 and later | `python -X perf`, `PYTHONPERFSUPPORT=1`, or `sys.activate_stack_trampoline("perf")` | functions and files, no lines |
//! | Node | `node --perf-basic-prof --interpreted-frames-native-stack`, also in `NODE_OPTIONS` | functions, files, the line where each function starts. Without the second switch only functions that were compiled have names. Node connects in its own next tick: then its own functions are all there is to see |
//! | others | whatever makes the runtime write `/tmp/perf-PID.map` | functions |
//!
//! A map is read inside the process's container and under the process id that it has there, and only if it belongs to the
//! process's user.

pub mod bench;
mod blaze;
mod bytes;
mod cache;
mod code_at;
mod demangle;
mod elf;
mod fold;
mod gopclntab;
mod image;
mod maps;
mod open;
mod packed;
mod perf_map;
mod placer;
mod process;
mod stacks;
mod symbolizer;
#[cfg(test)]
mod testing;
mod trust;
mod unwind;

pub use fold::{Says, says, short_name};
pub use image::Images;
pub use maps::{Backing, Mapping, Mappings};
pub use placer::Placer;
pub use process::{Locator, ProcessError, ProcessMaps};
pub use stacks::{PlacedStack, Stacks};
pub use symbolizer::{DEFAULT_CACHE_BYTES, Symbolizer};
pub use trust::{FramePointers, Trust, TrustCache};
pub use unwind::{DEFAULT_TABLE_BYTES, Ended, LeafFrame, Stack, Unwinder, Walk, Why, is_after_call};
