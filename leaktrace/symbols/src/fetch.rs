//! What the rest of this crate needs from other processes: their mappings, files and memory.
//!
//! Opening a file or reading memory of another process needs privileges and may wait for ever; making sense of the bytes needs
//! neither. So one process fetches (`direct`) and another, without privileges, asks it (`helper/remote.rs`). Everything that the asking
//! process says is checked: it may have been taken over by the bytes that it read.

mod direct;

pub(crate) use direct::Direct;

use super::maps::Mappings;
use serde::{Deserialize, Serialize};
use std::{fmt::Debug, fs::File, io, path::PathBuf};

/// A running process, as it was when it was looked at.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fetched {
    /// Refers to this process, even if another one gets its id. To be given back by [`Fetch::release`].
    pub(crate) handle: u64,
    /// Its executable mappings.
    pub(crate) mappings: Mappings,
    /// Start of the process, in clock ticks since boot. Distinguishes it from a later process with the same id.
    pub(crate) started_ticks: u64,
}

/// A file to be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wanted {
    /// The file of a process's mapping.
    Mapped {
        /// See [`Fetched::handle`].
        handle: u64,
        /// Index in [`Fetched::mappings`].
        mapping: usize,
    },
    /// The map of generated code that a process's runtime writes.
    PerfMap {
        /// See [`Fetched::handle`].
        handle: u64,
    },
    /// An ELF file by its path: a debug file, or the file of a module of which no process is known.
    Elf {
        /// Process in whose root the path is looked up first.
        inside: Option<u64>,
        /// The path.
        path: PathBuf,
    },
    /// A debug file of the host's distribution: an ELF file of root's, which no other user can write, in the host's directories for them.
    Distribution {
        /// The path.
        path: PathBuf,
    },
}

/// Directories in which distributions put separate debug files.
pub(crate) const DEBUG_DIRECTORIES: [&str; 2] = ["/usr/lib/debug", "/lib/debug"];

/// Fetches from other processes.
pub(crate) trait Fetch: Debug + Send + Sync {
    /// Looks at a running process.
    ///
    /// # Errors
    /// When it has exited, or may not be read.
    fn process(&self, pid: u32) -> io::Result<Fetched>;

    /// Forgets a process.
    fn release(&self, handle: u64);

    /// Opens a regular file; `None` if it is not there, or must not be opened.
    fn open(&self, wanted: &Wanted) -> Option<File>;

    /// A copy of a process's memory; `None` when it cannot be read, or is longer than [`LONGEST_COPY`].
    fn memory(&self, handle: u64, address: u64, len: u64) -> Option<Vec<u8>>;
}

/// Most bytes of memory that are copied at once.
pub(crate) const LONGEST_COPY: u64 = 1 << 20;
