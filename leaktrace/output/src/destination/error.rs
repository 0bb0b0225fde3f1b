//! Why a report or a recording could not be written, each in one sentence: what is wrong and what to do.

use crate::clean::clean;
use std::{io, path::Path};

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The path is a folder.
    #[error("cannot write to {path}: it is a folder; name a file inside it")]
    IsFolder {
        /// As given.
        path: String,
    },
    /// There is no folder to put it in.
    #[error("cannot write to {path}: the folder {folder} does not exist; create it first")]
    NoFolder {
        /// As given.
        path: String,
        /// The part that is missing.
        folder: String,
    },
    /// A symbolic link that another user may have made.
    #[error(
        "cannot write to {path}: {link} is a symbolic link in a folder that other users can write, so another user may have chosen where it \
         leads; name the file it leads to, or choose a folder that only you can write"
    )]
    SharedLink {
        /// As given.
        path: String,
        /// The link.
        link: String,
    },
    /// Something that another user owns is there already.
    #[error(
        "cannot write to {path}: the {what} there belongs to another user (uid {owner}), who could read or change what is written; remove \
         it, or choose a folder that only you can write"
    )]
    Stranger {
        /// As given.
        path: String,
        /// File, pipe, device or socket.
        what: &'static str,
        /// User id of its owner.
        owner: u32,
    },
    /// A recording goes to a pipe that nothing reads.
    #[error("cannot write to {path}: nothing reads from this pipe; start the reader first")]
    NoReader {
        /// As given.
        path: String,
    },
    /// The system refuses to write there.
    #[error("cannot write to {path}: {source}; choose another place with -o")]
    Refused {
        /// As given, or "standard output".
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Standard output fails.
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
}

pub(super) fn refused(path: &Path, source: impl Into<io::Error>) -> OutputError {
    OutputError::Refused { path: shown(path), source: source.into() }
}

pub(super) fn shown(path: &Path) -> String {
    clean(&path.to_string_lossy()).into_owned()
}
