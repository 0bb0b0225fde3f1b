//! Finds the place that a path names: an open folder, a name in it, and what has that name now.
//!
//! Another user who can write a folder of the path could put a symbolic link there, and so choose where root writes. The path is therefore
//! walked by open folders, one component at a time. A link is followed only where root and the caller alone can write. Links of procfs are
//! the kernel's own; they are followed in folders of root's and the caller's processes.

use super::error::{OutputError, refused, shown};
use crate::caller::Caller;
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat},
    sys::{
        stat::{FileStat, Mode, SFlag, fstat, fstatat},
        statfs::{FUSE_SUPER_MAGIC, PROC_SUPER_MAGIC, fstatfs},
    },
};
use std::{
    ffi::{OsStr, OsString},
    os::fd::{AsRawFd, OwnedFd, RawFd},
    path::{Component, Path, PathBuf},
};

/// Most symbolic links in one path, as in the kernel.
const MOST_LINKS: u32 = 40;

/// What has the name now.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// A file of root's or the caller's. Its owner and mode pass to the file that replaces it, unless another user may have given it this
    /// name: a link to a file that all can read would make a report that all can read.
    File {
        /// What passes.
        passes: Option<Box<FileStat>>,
    },
    /// A pipe, a terminal or another device of root's or the caller's: it cannot be replaced.
    Device,
}

/// Where output goes.
#[derive(Debug)]
pub(super) enum Place {
    /// To a name in a folder.
    Named {
        /// The folder, opened with `O_PATH`.
        folder: OwnedFd,
        /// The name, which has no slash.
        name: OsString,
        /// What has it.
        found: Found,
    },
    /// To a descriptor that this process was started with, as in `/dev/stdout` and `/dev/fd/3`.
    Descriptor(RawFd),
}

impl Place {
    /// Finds the place of a path.
    ///
    /// # Errors
    /// When it has no folder, leads through a link that another user may have made, or names something that another user owns.
    pub(super) fn of(path: &Path, caller: &Caller) -> Result<Self, OutputError> {
        let mut walk = Walk::begin(path, caller)?;
        loop {
            let Some(name) = walk.rest.pop() else { return Err(OutputError::IsFolder { path: shown(path) }) };
            if let Some(place) = walk.step(name)? {
                return Ok(place);
            }
        }
    }
}

/// A path that is walked.
struct Walk<'a> {
    /// As given.
    path: &'a Path,
    caller: &'a Caller,
    folder: OwnedFd,
    /// The path of the folder, for messages.
    at: PathBuf,
    /// Components that are left, the next one last.
    rest: Vec<OsString>,
    links: u32,
}

impl<'a> Walk<'a> {
    fn begin(path: &'a Path, caller: &'a Caller) -> Result<Self, OutputError> {
        let folder = open_folder(AT_FDCWD, OsStr::new(".")).map_err(|error| refused(path, error))?;
        let mut walk = Self { path, caller, folder, at: PathBuf::new(), rest: Vec::new(), links: 0 };
        walk.add(path)?;
        Ok(walk)
    }

    /// Puts the components of a path before those that are left.
    fn add(&mut self, path: &Path) -> Result<(), OutputError> {
        for component in path.components().rev() {
            match component {
                Component::RootDir => {
                    self.folder = open_folder(AT_FDCWD, OsStr::new("/")).map_err(|error| refused(self.path, error))?;
                    self.at = PathBuf::from("/");
                }
                Component::Normal(_) | Component::ParentDir => self.rest.push(component.as_os_str().to_owned()),
                Component::CurDir | Component::Prefix(_) => {}
            }
        }
        Ok(())
    }

    /// Takes one component. Gives the place if it was the last.
    fn step(&mut self, name: OsString) -> Result<Option<Place>, OutputError> {
        let found = match fstatat(&self.folder, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            Err(Errno::ENOENT) => return self.nothing(name).map(Some),
            Err(error) => return Err(refused(self.path, error)),
        };
        match kind(&found) {
            SFlag::S_IFLNK => return self.follow(&name),
            SFlag::S_IFDIR => {
                self.folder = open_folder(&self.folder, &name).map_err(|error| refused(self.path, error))?;
                self.at.push(name);
                return Ok(None);
            }
            _ if !self.rest.is_empty() || names_folder(self.path) => return Err(refused(self.path, Errno::ENOTDIR)),
            _ => {}
        }
        if self.caller.is_stranger(found.st_uid) {
            let path = shown(self.path);
            return Err(OutputError::Stranger { path, what: word(&found), owner: found.st_uid });
        }
        let found = if kind(&found) == SFlag::S_IFREG {
            let is_own = self.gives_own_names(&found).map_err(|error| refused(self.path, error))?;
            Found::File { passes: is_own.then(|| Box::new(found)) }
        } else {
            Found::Device
        };
        let folder = self.folder.try_clone().map_err(|error| refused(self.path, error))?;
        Ok(Some(Place::Named { folder, name, found }))
    }

    /// The place of a name that nothing has.
    fn nothing(&self, name: OsString) -> Result<Place, OutputError> {
        if !self.rest.is_empty() || names_folder(self.path) {
            let folder = shown(&self.at.join(name));
            return Err(OutputError::NoFolder { path: shown(self.path), folder });
        }
        let folder = self.folder.try_clone().map_err(|error| refused(self.path, error))?;
        Ok(Place::Named { folder, name, found: Found::Nothing })
    }

    /// Follows a link, if it cannot be another user's.
    fn follow(&mut self, name: &OsStr) -> Result<Option<Place>, OutputError> {
        let link = self.at.join(name);
        if self.is_shared().map_err(|error| refused(self.path, error))? {
            return Err(OutputError::SharedLink { path: shown(self.path), link: shown(&link) });
        }
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(refused(self.path, Errno::ELOOP));
        }
        if fstatfs(&self.folder).is_ok_and(|system| system.filesystem_type() == PROC_SUPER_MAGIC) {
            return self.follow_in_procfs(name);
        }
        let target = readlinkat(&self.folder, name).map_err(|error| refused(self.path, error))?;
        self.add(Path::new(&target))?;
        Ok(None)
    }

    /// The text of such a link need not be a path, so the kernel follows it.
    fn follow_in_procfs(&mut self, name: &OsStr) -> Result<Option<Place>, OutputError> {
        if self.rest.is_empty()
            && self.is_in_own_descriptors()
            && let Some(descriptor) = name.to_str().and_then(|name| name.parse().ok())
        {
            return Ok(Some(Place::Descriptor(descriptor)));
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let opened = openat(&self.folder, name, flags, Mode::empty());
        self.folder = opened.map_err(|error| refused(self.path, error))?;
        self.at.push(name);
        Ok(None)
    }

    /// Whether the folder lists the descriptors of this process.
    fn is_in_own_descriptors(&self) -> bool {
        let folder = std::fs::read_link(format!("/proc/self/fd/{}", self.folder.as_raw_fd())).unwrap_or_default();
        let own = Path::new("/proc").join(std::process::id().to_string());
        folder
            .strip_prefix(own)
            .is_ok_and(|rest| rest == Path::new("fd") || (rest.starts_with("task") && rest.ends_with("fd")))
    }

    /// Whether root or the caller has given a file of theirs the name that it has in the folder. Where all can write, others can give
    /// names by hard links; with the sticky bit, only the folder's owner can rename.
    fn gives_own_names(&self, file: &FileStat) -> nix::Result<bool> {
        let folder = fstat(&self.folder)?;
        let is_sticky = Mode::from_bits_truncate(folder.st_mode).contains(Mode::S_ISVTX);
        Ok(!self.is_shared()? || (is_sticky && !self.caller.is_stranger(folder.st_uid) && file.st_nlink == 1))
    }

    /// Whether anybody but root and the caller can write the folder. A file system in user space is whatever its owner says.
    fn is_shared(&self) -> nix::Result<bool> {
        let folder = fstat(&self.folder)?;
        let others = Mode::S_IWGRP | Mode::S_IWOTH;
        let is_fuse = fstatfs(&self.folder)?.filesystem_type() == FUSE_SUPER_MAGIC;
        Ok(is_fuse
            || self.caller.is_stranger(folder.st_uid)
            || Mode::from_bits_truncate(folder.st_mode).intersects(others))
    }
}

fn open_folder(at: impl std::os::fd::AsFd, name: &OsStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(at, name, flags, Mode::empty())
}

/// Whether a path ends with a slash, so it can only be a folder.
fn names_folder(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

fn kind(found: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits())
}

fn word(found: &FileStat) -> &'static str {
    match kind(found) {
        SFlag::S_IFREG => "file",
        SFlag::S_IFIFO => "pipe",
        SFlag::S_IFSOCK => "socket",
        _ => "device",
    }
}
