//! Reads small pieces of a file of any size, by position, with a bounded number of cached pages.
//!
//! Must not map the file: a mapped file that another process truncates kills the reader with SIGBUS, while `read` only fails.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

const PAGE: u64 = 4096;
/// Bytes per read when the whole file is read.
const CHUNK: u64 = 256 << 10;
/// Most pages in the cache of one file (1 MiB).
const MAX_PAGES: usize = 256;

/// The content of a file, or in tests of a buffer.
#[derive(Debug)]
pub(crate) struct Bytes {
    source: Source,
    len: u64,
    pages: Mutex<HashMap<u64, Arc<[u8]>>>,
}

#[derive(Debug)]
enum Source {
    File(File),
    #[cfg(test)]
    Memory(Box<[u8]>),
}

impl Bytes {
    /// The bytes of an open file.
    ///
    /// # Errors
    /// When the file's length cannot be read.
    pub(crate) fn of_file(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { source: Source::File(file), len, pages: Mutex::default() })
    }

    /// Bytes in memory, for tests.
    #[cfg(test)]
    pub(crate) fn of_memory(bytes: impl Into<Box<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self { len: bytes.len() as u64, source: Source::Memory(bytes), pages: Mutex::default() }
    }

    /// Length in bytes when the file was opened.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The file; `None` for a buffer.
    pub(crate) fn file(&self) -> Option<&File> {
        match &self.source {
            Source::File(file) => Some(file),
            #[cfg(test)]
            Source::Memory(_) => None,
        }
    }

    /// Fills `buffer` from `offset` on; `None` when the file is too short or cannot be read.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        let end = offset.checked_add(buffer.len() as u64)?;
        if end > self.len {
            return None;
        }
        match &self.source {
            #[cfg(test)]
            Source::Memory(bytes) => {
                let from = usize::try_from(offset).ok()?;
                buffer.copy_from_slice(bytes.get(from..from.checked_add(buffer.len())?)?);
            }
            Source::File(file) if buffer.len() as u64 > PAGE => file.read_exact_at(buffer, offset).ok()?,
            Source::File(file) => {
                let mut done = 0;
                while done < buffer.len() {
                    let at = offset + done as u64;
                    let page = self.page(file, at / PAGE)?;
                    let from = usize::try_from(at % PAGE).ok()?;
                    let part = page.get(from..)?;
                    let count = part.len().min(buffer.len() - done);
                    if count == 0 {
                        return None;
                    }
                    buffer[done..done + count].copy_from_slice(&part[..count]);
                    done += count;
                }
            }
        }
        Some(())
    }

    /// A copy of `len` bytes from `offset` on; `None` when the file is too short or `len` exceeds `limit`.
    pub(crate) fn copy(&self, offset: u64, len: u64, limit: u64) -> Option<Vec<u8>> {
        // Checked before the allocation: the length often comes from a hostile file.
        if len > limit || offset.checked_add(len)? > self.len {
            return None;
        }
        let mut buffer = vec![0; usize::try_from(len).ok()?];
        self.read(offset, &mut buffer)?;
        Some(buffer)
    }

    /// `N` bytes from `offset` on; `None` when the file is too short or cannot be read.
    pub(crate) fn array<const N: usize>(&self, offset: u64) -> Option<[u8; N]> {
        let mut buffer = [0; N];
        self.read(offset, &mut buffer)?;
        Some(buffer)
    }

    /// CRC-32 of the whole file; `None` when it is longer than `limit` or cannot be read.
    pub(crate) fn crc(&self, limit: u64) -> Option<u32> {
        if self.len > limit {
            return None;
        }
        let mut hasher = crc32fast::Hasher::new();
        let mut at = 0;
        while at < self.len {
            let chunk = self.copy(at, CHUNK.min(self.len - at), CHUNK)?;
            hasher.update(&chunk);
            at += chunk.len() as u64;
        }
        Some(hasher.finalize())
    }

    /// Empties the page cache. Returns whether it held pages.
    pub(crate) fn forget_pages(&self) -> bool {
        let pages = std::mem::take(&mut *self.pages.lock().unwrap_or_else(PoisonError::into_inner));
        !pages.is_empty()
    }

    fn page(&self, file: &File, number: u64) -> Option<Arc<[u8]>> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = pages.get(&number) {
            return Some(Arc::clone(page));
        }
        let start = number.checked_mul(PAGE)?;
        let len = PAGE.min(self.len.checked_sub(start)?);
        let mut buffer = vec![0; usize::try_from(len).ok()?];
        file.read_exact_at(&mut buffer, start).ok()?;
        if pages.len() >= MAX_PAGES {
            pages.clear();
        }
        let page: Arc<[u8]> = buffer.into();
        pages.insert(number, Arc::clone(&page));
        Some(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_reads_as_its_bytes_across_pages_and_never_beyond_its_end() {
        let content: Vec<u8> = (0..20_000u32).map(|i| (i % 251) as u8).collect();
        let path = std::env::temp_dir().join(format!("leaktrace-bytes-{}", std::process::id()));
        File::create(&path).unwrap().write_all(&content).unwrap();
        let file = Bytes::of_file(File::open(&path).unwrap()).unwrap();
        std::fs::remove_file(&path).unwrap();
        let memory = Bytes::of_memory(content.clone());
        for (offset, len) in [(0, 1), (4090, 20), (8192, 4096), (100, 15_000), (19_999, 1), (20_000, 0)] {
            let expected = content[offset..offset + len].to_vec();
            assert_eq!(file.copy(offset as u64, len as u64, 1 << 20), Some(expected.clone()));
            assert_eq!(memory.copy(offset as u64, len as u64, 1 << 20), Some(expected));
        }
        for (offset, len) in [(20_000, 1), (u64::MAX, 1), (1, u64::MAX), (0, 20_001)] {
            assert_eq!(file.copy(offset, len, u64::MAX), None);
            assert_eq!(memory.copy(offset, len, u64::MAX), None);
        }
        assert_eq!((file.crc(20_000), file.crc(19_999)), (Some(crc32fast::hash(&content)), None));
    }
}
