//! Maps files for reading, and gives their pages back.
//!
//! Pages that were read of a mapped file count as resident memory of this process, although the kernel's page cache holds them
//! anyway. A file that is truncated while it is mapped ends the process with SIGBUS, so only a process that can be replaced
//! should name functions.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Start and length of every file that is mapped now. Files are mapped and unmapped under this lock.
static MAPPED: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

fn mapped() -> MutexGuard<'static, BTreeMap<usize, usize>> {
    MAPPED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that is mapped for reading until this is dropped.
#[derive(Debug)]
pub(crate) struct Mapped {
    start: usize,
    len: usize,
}

impl Mapped {
    /// Maps the first `len` bytes of an open file.
    ///
    /// # Errors
    /// Those of `mmap(2)`; it refuses an empty file.
    pub(crate) fn new(file: &File, len: u64) -> io::Result<Self> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut list = mapped();
        let fd = file.as_raw_fd();
        // SAFETY: the kernel chooses an address that nothing else uses, and the descriptor is open during the call.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = start.addr();
        list.insert(start, len);
        Ok(Self { start, len })
    }

    /// The content of the file.
    ///
    /// # Safety
    /// The result must not be used after this is dropped. Another process can change the bytes at any time: copy them before
    /// something relies on a check of their content.
    pub(crate) unsafe fn bytes(&self) -> &'static [u8] {
        // SAFETY: the range is mapped for reading while `self` exists, and the caller does not use it longer.
        unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(self.start), self.len) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let mut list = mapped();
        list.remove(&self.start);
        // SAFETY: this mapping was made by `new` and is unmapped only here; nothing refers to it any longer.
        unsafe { libc::munmap(std::ptr::with_exposed_provenance_mut(self.start), self.len) };
    }
}

/// Gives back the pages of all files that are mapped. Reading them again takes them from the page cache or the disk. Any thread
/// may call it at any time, also while another one reads the files.
pub fn give_pages_back() {
    for (start, len) in &*mapped() {
        // SAFETY: a shared, read-only file mapping: dropped pages are read again from the file with the same content. The lock
        // keeps it mapped meanwhile, so nothing else can be at this address.
        unsafe { libc::madvise(std::ptr::with_exposed_provenance_mut(*start), *len, libc::MADV_DONTNEED) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_file_is_read_again_after_its_pages_were_given_back() {
        let file = File::open("/proc/self/exe").unwrap();
        let mapping = Mapped::new(&file, file.metadata().unwrap().len()).unwrap();
        assert!(mapped().contains_key(&mapping.start));
        // SAFETY: the mapping exists until the end of this function.
        let bytes = unsafe { mapping.bytes() };
        assert_eq!(bytes[..4], *b"\x7fELF");
        std::thread::scope(|scope| {
            let giving = scope.spawn(|| (0..50).for_each(|_| give_pages_back()));
            while !giving.is_finished() {
                assert_eq!(bytes[1..4], *b"ELF");
            }
        });
        let start = mapping.start;
        drop(mapping);
        assert!(!mapped().contains_key(&start));
    }

    #[test]
    fn an_empty_file_is_not_mapped() {
        assert!(Mapped::new(&File::open("/proc/self/exe").unwrap(), 0).is_err());
    }
}
