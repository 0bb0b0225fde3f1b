//! The beginning of a recording: whether a file is one, and who recorded it.

use super::{
    block::{self, BlockKind, Damage, HEADER_BYTES, MAGIC, VERSION},
    wire::Start,
};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// A file that cannot be replayed. Paths are raw: code that prints them must escape control characters.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system does not let us read it.
    #[error("cannot read the recording {path}: {reason}")]
    Io {
        /// As given.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// It is a folder, a pipe or a device.
    #[error("cannot replay {path}: it is no regular file; name a file that `leaktrace record` wrote")]
    NoFile {
        /// As given.
        path: PathBuf,
    },
    /// It is some other file.
    #[error("{path} is no recording; name a file that `leaktrace record` wrote")]
    Foreign {
        /// As given.
        path: PathBuf,
    },
    /// A later program wrote it.
    #[error(
        "{path} is a recording of version {version}, and this leaktrace reads up to version {VERSION}: use a newer leaktrace"
    )]
    Newer {
        /// As given.
        path: PathBuf,
        /// The version in its header.
        version: u32,
    },
    /// Its beginning is damaged.
    #[error("{path} is a recording, but nothing of it can be replayed: {damage}")]
    Damaged {
        /// As given.
        path: PathBuf,
        /// What is wrong.
        damage: Damage,
    },
}

/// Opens a file.
pub(crate) fn file(path: &Path) -> Result<File, OpenError> {
    let io = |reason| OpenError::Io { path: path.to_owned(), reason };
    // Opening a pipe would wait for a writer.
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(OpenError::NoFile { path: path.to_owned() });
    }
    File::open(path).map_err(io)
}

/// Reads all that comes before the first sample, and the version. Errors name the input by `path`.
pub(crate) fn read_start(input: &mut impl Read, buffer: &mut Vec<u8>, path: &Path) -> Result<(u32, Start), OpenError> {
    let path = || path.to_owned();
    let io = |reason| OpenError::Io { path: path(), reason };
    let mut header = [0; HEADER_BYTES];
    let length = block::fill(input, &mut header).map_err(io)?;
    if length < MAGIC.len() || header[..MAGIC.len()] != MAGIC {
        return Err(OpenError::Foreign { path: path() });
    }
    let damaged = |damage| OpenError::Damaged { path: path(), damage };
    if length < HEADER_BYTES {
        return Err(damaged(Damage::Cut));
    }
    let word = |at: usize| header[at..at + 4].iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    let (version, sum) = (word(8), word(12));
    if crc32fast::hash(&header[..12]) != sum {
        return Err(damaged(Damage::Checksum));
    }
    if version > VERSION {
        return Err(OpenError::Newer { path: path(), version });
    }
    if version == 0 {
        return Err(damaged(Damage::Nonsense("a version that never was")));
    }
    let first = block::read(input, buffer).map_err(damaged)?.ok_or_else(|| damaged(Damage::Cut))?;
    if first.kind != BlockKind::Start {
        return Err(damaged(Damage::Nonsense("no beginning")));
    }
    let start = postcard::from_bytes(&first.body);
    let start = start.map_err(|_| damaged(Damage::Nonsense("a beginning that cannot be decoded")))?;
    Ok((version, start))
}
