//! Opens files of other processes, which can be hostile and in another mount namespace.
//!
//! Must open regular files only: a FIFO blocks, and opening a device can have effects. A path from a container is resolved
//! inside the container, so that a symbolic link cannot lead to the host's files.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A handle on a file or directory (`O_PATH`): refers to it without opening it.
///
/// # Errors
/// Those of `open(2)`.
pub(crate) fn handle(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path)
}

/// Opens a regular file for reading.
///
/// # Errors
/// Those of `open(2)`, and `InvalidInput` when it is not a regular file.
pub(crate) fn regular(path: &Path) -> io::Result<File> {
    reopen(&handle(path)?)
}

/// Opens the regular file at `path` with the directory `root` as the root, also for symbolic links.
///
/// # Errors
/// Those of `openat2(2)` (since Linux 5.6), and `InvalidInput` when it is not a regular file.
pub(crate) fn regular_in(root: &File, path: &Path) -> io::Result<File> {
    resolve(root, path, 0)
}

/// The same, but the file itself must not be a symbolic link.
///
/// # Errors
/// Those of `openat2(2)`, and `InvalidInput` when it is not a regular file.
pub(crate) fn regular_not_linked(root: &File, path: &Path) -> io::Result<File> {
    resolve(root, path, libc::O_NOFOLLOW)
}

fn resolve(root: &File, path: &Path, flags: libc::c_int) -> io::Result<File> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: open_how has only integer fields, for which zero is valid.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::from((libc::O_PATH | libc::O_CLOEXEC | flags).cast_unsigned());
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: both pointers are to valid objects of the given size, and the kernel only reads them.
    let fd =
        unsafe { libc::syscall(libc::SYS_openat2, root.as_raw_fd(), path.as_ptr(), &raw const how, size_of_val(&how)) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the system call just returned this descriptor, and nothing else owns it.
    let found = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    reopen(&found)
}

/// A file in memory with this content.
///
/// # Errors
/// Those of `memfd_create(2)` and `write(2)`.
pub(crate) fn memory(content: &[u8]) -> io::Result<File> {
    // SAFETY: the name is a constant that ends with a null byte.
    let fd = unsafe { libc::memfd_create(c"leaktrace".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system call just returned this descriptor, and nothing else owns it.
    let mut file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    io::Write::write_all(&mut file, content)?;
    Ok(file)
}

/// A path to the file behind a descriptor, for this process only.
pub(crate) fn path_of(file: &File) -> std::path::PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

fn reopen(handle: &File) -> io::Result<File> {
    if !handle.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path_of(handle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn only_regular_files_are_opened() {
        assert!(regular(Path::new("/proc/self/exe")).is_ok());
        assert_eq!(regular(Path::new("/dev/zero")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(regular(Path::new("/proc/self")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_link_cannot_lead_out_of_a_root() {
        let root = std::env::temp_dir().join(format!("leaktrace-root-{}", std::process::id()));
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(root.join("etc/hostname"), "inside").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", root.join("name")).unwrap();
        let mut text = String::new();
        let opened =
            regular_in(&handle(&root).unwrap(), Path::new("/name")).map(|mut file| file.read_to_string(&mut text));
        std::fs::remove_dir_all(&root).unwrap();
        opened.unwrap().unwrap();
        assert_eq!(text, "inside");
    }

    #[test]
    fn a_file_in_memory_holds_what_was_put_into_it() {
        let file = memory(b"abc").unwrap();
        assert_eq!(std::fs::read(path_of(&file)).unwrap(), b"abc");
    }
}
