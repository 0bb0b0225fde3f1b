//! Maps of the kernel side: taking one out of the loaded object, and array maps that user space reads and writes in place, without a
//! system call for each entry.

use crate::error::StartError;
use aya::maps::{MapData, MapError};
use std::{
    io,
    marker::PhantomData,
    os::fd::{AsFd, AsRawFd},
    ptr::NonNull,
};
use zerocopy::{FromBytes, IntoBytes};

/// An array map made with `BPF_F_MMAPABLE` (5.5), mapped into this process.
///
/// The kernel side writes to it at any time, so entries are copied out and in with volatile accesses, never borrowed.
pub(crate) struct MappedArray<T> {
    base: NonNull<u8>,
    bytes: usize,
    len: usize,
    _map: MapData,
    _entries: PhantomData<T>,
}

// SAFETY: the mapping belongs to this value alone and is only reached through it.
unsafe impl<T: Send> Send for MappedArray<T> {}
// SAFETY: entries are only copied, with volatile accesses, and any bytes are a valid `T`.
unsafe impl<T: Send> Sync for MappedArray<T> {}

impl<T: FromBytes + IntoBytes + Copy> MappedArray<T> {
    /// Distance between entries: array maps round values up to eight bytes.
    const STRIDE: usize = size_of::<T>().next_multiple_of(8);

    /// Maps all of a map's `len` entries.
    pub(crate) fn new(map: MapData, len: usize) -> io::Result<Self> {
        let page = 4096;
        let bytes = (len * Self::STRIDE).next_multiple_of(page);
        let descriptor = map.fd().as_fd().as_raw_fd();
        // SAFETY: a fresh shared mapping of a descriptor; the kernel picks the address and checks the length.
        let base = unsafe {
            libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, descriptor, 0)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("a mapping at address zero"))?;
        Ok(Self { base, bytes, len, _map: map, _entries: PhantomData })
    }

    fn entry(&self, index: usize) -> Option<NonNull<T>> {
        if index >= self.len {
            return None;
        }
        // SAFETY: the index is within the mapping.
        Some(unsafe { self.base.add(index * Self::STRIDE) }.cast())
    }

    /// A copy of one entry; `None` if the index is too large.
    pub(crate) fn get(&self, index: usize) -> Option<T> {
        let entry = self.entry(index)?;
        // SAFETY: the entry is mapped and aligned, and any bytes are a `T`.
        Some(unsafe { entry.read_volatile() })
    }

    /// A copy of the first field of one entry, which is cheaper than the whole; `None` if the index is too large.
    pub(crate) fn first<F: FromBytes + Copy>(&self, index: usize) -> Option<F> {
        const { assert!(size_of::<F>() <= size_of::<T>() && align_of::<F>() <= align_of::<T>()) };
        let entry = self.entry(index)?.cast::<F>();
        // SAFETY: it lies within the entry, aligned as that is, and any bytes are an `F`.
        Some(unsafe { entry.read_volatile() })
    }

    /// Overwrites the eight bytes at `offset` of one entry. The kernel side may write other fields of the entry at the same time.
    pub(crate) fn write(&self, index: usize, offset: usize, value: u64) {
        debug_assert!(offset.is_multiple_of(8) && offset < size_of::<T>());
        if let Some(entry) = self.entry(index)
            && offset < size_of::<T>()
        {
            // SAFETY: the word is within the entry.
            let word = unsafe { entry.cast::<u8>().add(offset) }.cast::<u64>();
            // SAFETY: it is mapped, and aligned as entries and offset are.
            unsafe { word.write_volatile(value) };
        }
    }

    /// Overwrites one entry.
    pub(crate) fn set(&self, index: usize, value: T) {
        if let Some(entry) = self.entry(index) {
            // SAFETY: the entry is mapped and aligned.
            unsafe { entry.write_volatile(value) };
        }
    }
}

impl<T> Drop for MappedArray<T> {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made in `new`, and nothing borrows it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// Takes a mapped array of `len` entries out of the loaded object by name.
pub(crate) fn map_array<T: FromBytes + IntoBytes + Copy>(
    ebpf: &mut aya::Ebpf,
    name: &str,
    len: usize,
) -> Result<MappedArray<T>, StartError> {
    let data = take_map_data(ebpf, name).map_err(|error| StartError::internal(&error))?;
    MappedArray::new(data, len).map_err(|error| StartError::internal(&error))
}

/// Takes a map out of the loaded object by name.
pub(crate) fn take_map_data(ebpf: &mut aya::Ebpf, name: &str) -> Result<MapData, MapError> {
    match ebpf.take_map(name) {
        Some(
            aya::maps::Map::Array(data)
            | aya::maps::Map::HashMap(data)
            | aya::maps::Map::PerCpuArray(data)
            | aya::maps::Map::Queue(data)
            | aya::maps::Map::RingBuf(data),
        ) => Ok(data),
        Some(_) => Err(MapError::InvalidMapType { map_type: 0 }),
        None => Err(MapError::InvalidName { name: name.to_owned() }),
    }
}
