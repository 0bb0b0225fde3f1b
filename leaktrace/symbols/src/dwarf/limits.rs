//! How far debug information is read, and the bytes that it is read from.

use gimli::{EndianSlice, LittleEndian};

/// Bytes of a section.
pub(super) type Slice = EndianSlice<'static, LittleEndian>;

/// Most inlined functions at one address. Deeper ones are left out.
pub(super) const MAX_INLINED: usize = 128;
/// Longest name or path, in bytes. Longer ones are cut.
pub(super) const MAX_TEXT: usize = 4096;
/// Longest mangled name that is read, in bytes.
pub(super) const MAX_MANGLED: usize = 16 << 10;
/// Most entries that are followed to find a name.
pub(super) const MAX_ORIGINS: usize = 16;
