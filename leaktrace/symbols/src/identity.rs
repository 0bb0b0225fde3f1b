//! What identifies a file with a certain content, without reading it.

use serde::{Deserialize, Serialize};
use std::{fs::File, io, os::unix::fs::MetadataExt};

/// Whether two files are the same file with the same content, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// `st_dev`
    pub device: u64,
    /// `st_ino`
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Last change of its content, nanoseconds since the epoch.
    pub modified_ns: i64,
}

impl Identity {
    /// Identity of an open file.
    ///
    /// # Errors
    /// Those of `fstat(2)`.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        let modified_ns = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
        Ok(Self { device: meta.dev(), inode: meta.ino(), size: meta.len(), modified_ns })
    }
}

/// A file as it was when it was opened: another content is another file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct FileId {
    /// The file and its content.
    pub(crate) identity: Identity,
    /// User who owns it.
    pub(crate) owner: u32,
    /// Whether a server answers for the file system, as with FUSE and NFS: it may never do so.
    pub(crate) on_server: bool,
    /// A path for people.
    pub(crate) path: String,
}

impl FileId {
    /// Of an open file.
    ///
    /// # Errors
    /// Those of `fstat(2)`.
    pub(crate) fn of(file: &File, path: &str) -> io::Result<Self> {
        let owner = file.metadata()?.uid();
        Ok(Self { identity: Identity::of(file)?, owner, on_server: has_server(file), path: path.to_owned() })
    }
}

/// Whether a server answers for the file's file system, by the numbers of fstatfs(2) (Linux: include/uapi/linux/magic.h and the file
/// systems' own sources).
fn has_server(file: &File) -> bool {
    const SERVED: [u32; 8] = [
        0x6573_5546, // FUSE
        0x6969,      // NFS
        0x0102_1997, // 9p
        0xff53_4d42, // CIFS
        0xfe53_4d42, // SMB2
        0x5346_414f, // AFS
        0x00c3_6400, // Ceph
        0x7375_7245, // Coda
    ];
    nix::sys::statfs::fstatfs(file).is_ok_and(|of| SERVED.contains(&(of.filesystem_type().0 as u32)))
}
