//! A file that appears under its name whole: made exclusively under another name in the same open folder, then renamed.

use crate::caller::Caller;
use nix::{
    fcntl::{OFlag, openat, renameat},
    sys::stat::{FileStat, Mode},
    unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat},
};
use std::{
    ffi::{OsStr, OsString},
    fs::{File, Permissions},
    hash::{BuildHasher, Hasher, RandomState},
    io,
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
};

/// Mode of a new file: reports and recordings name command lines, paths and peers of all users.
const NEW_FILE_MODE: u32 = 0o600;

/// Longest part of the name that the temporary name has, in characters.
const LONGEST_NAME: usize = 40;

/// Names that are tried. One is enough unless somebody guesses random numbers.
const MOST_TRIES: u32 = 16;

/// A file under a temporary name, which is removed unless the file gets its own name.
pub(super) struct Whole<'a> {
    folder: &'a OwnedFd,
    temporary: OsString,
    file: File,
    is_named: bool,
}

impl<'a> Whole<'a> {
    /// Makes an empty file in a folder, for a file that will be called `name`. Only this user can open it.
    pub(super) fn create(folder: &'a OwnedFd, name: &OsStr) -> io::Result<Self> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut tries = 0;
        loop {
            let temporary = temporary_name(name);
            match openat(folder, temporary.as_os_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR) {
                Ok(file) => return Ok(Self { folder, temporary, file: file.into(), is_named: false }),
                Err(nix::errno::Errno::EEXIST) if tries < MOST_TRIES => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The file, to write to.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Gives it an owner and a mode: those of the file it replaces; else the caller's and 0600. `mode` wins over both.
    pub(super) fn settle(&self, replaces: Option<&FileStat>, mode: Option<u32>, caller: &Caller) -> io::Result<()> {
        let owner = match replaces {
            Some(old) => Some((old.st_uid, old.st_gid)),
            None => caller.is_by_sudo().then(|| (caller.uid(), caller.gid())),
        };
        if let Some((uid, gid)) = owner {
            // Only root may change the owner; for other users it is the same already. Some file systems have no owners.
            let _ = fchown(&self.file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        }
        let kept = replaces.map(|old| old.st_mode & 0o777);
        self.file.set_permissions(Permissions::from_mode(mode.or(kept).unwrap_or(NEW_FILE_MODE)))
    }

    /// Gives it its name, in place of whatever has that name.
    pub(super) fn rename(mut self, name: &OsStr) -> io::Result<File> {
        renameat(self.folder, self.temporary.as_os_str(), self.folder, name)?;
        self.is_named = true;
        self.file.try_clone()
    }
}

impl Drop for Whole<'_> {
    fn drop(&mut self) {
        if !self.is_named {
            let _ = unlinkat(self.folder, self.temporary.as_os_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}

fn temporary_name(name: &OsStr) -> OsString {
    // The standard library's hash keys are the random numbers that every program has.
    let random = RandomState::new().build_hasher().finish();
    let name: String = name.to_string_lossy().chars().take(LONGEST_NAME).collect();
    format!(".{name}.{random:016x}.tmp").into()
}
