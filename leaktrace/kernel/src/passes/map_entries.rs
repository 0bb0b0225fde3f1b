//! System calls that visit the entries of a map and that aya does not have: iterators over maps, and lookups of many entries.

use leaktrace_common::SocketRecord;
use std::{
    fs::File,
    io,
    mem::offset_of,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_ITER_CREATE: libc::c_long = 33;
const BPF_TRACE_ITER: u32 = 28;

/// The part of `union bpf_attr` (include/uapi/linux/bpf.h) for creating an iterator link.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    iter_info: u64,
    iter_info_len: u32,
    _pad: u32,
}

#[repr(C)]
struct IterCreate {
    link_fd: u32,
    flags: u32,
}

/// `union bpf_iter_link_info`, for maps.
#[repr(C)]
struct IterLinkInfo {
    map_fd: u32,
    _pad: [u32; 3],
}

const _: () = assert!(offset_of!(LinkCreate, iter_info) == 16);

/// The part of `union bpf_attr` for looking up many entries (5.6).
#[repr(C)]
struct LookupBatch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

const _: () = assert!(offset_of!(LookupBatch, map_fd) == 36);

/// Starts `program`, an `iter/bpf_map_elem`, over the entries of `map`.
pub(super) fn iterate(program: BorrowedFd<'_>, map: BorrowedFd<'_>) -> io::Result<File> {
    let info = IterLinkInfo { map_fd: map.as_raw_fd() as u32, _pad: [0; 3] };
    let mut create = LinkCreate {
        prog_fd: program.as_raw_fd() as u32,
        target_fd: 0,
        attach_type: BPF_TRACE_ITER,
        flags: 0,
        iter_info: (&raw const info) as u64,
        iter_info_len: size_of::<IterLinkInfo>() as u32,
        _pad: 0,
    };
    let link = bpf(BPF_LINK_CREATE, &mut create)?;
    let iterator = bpf(BPF_ITER_CREATE, &mut IterCreate { link_fd: link.as_raw_fd() as u32, flags: 0 })?;
    Ok(File::from(iterator))
}

/// Errors for a bucket that the kernel could not lock (`htab_lock_bucket`, kernel/bpf/hashtab.c; the last two from 6.15 on). Before
/// 5.19.17 there was no error, and the kernel skipped that bucket.
const UNLOCKABLE: [i32; 3] = [libc::EBUSY, libc::EDEADLK, libc::ETIMEDOUT];

/// Where the next lookup in a hash table starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// At its first entry.
    Start,
    /// Where the last lookup ended: a number given by the kernel.
    Bucket(u32),
    /// There is no next lookup: all entries were seen.
    End,
}

/// Copies the next entries of the table of sockets, as many as `keys` and `values` have room for. Returns how many, and the next position.
///
/// A bucket is copied whole. Entries that exist all the time are seen once; entries that are inserted or removed meanwhile may be
/// missed. There may be no entries before the end, if the kernel could not lock a bucket.
///
/// If the kernel preempts this call, hooks attached with perf (breakpoints, and `tp_accepted`) are skipped on that processor until it
/// continues (`bpf_disable_instrumentation`).
pub(super) fn look_up(
    sockets: BorrowedFd<'_>,
    position: Position,
    keys: &mut [u64],
    values: &mut [SocketRecord],
) -> io::Result<(usize, Position)> {
    let mut from = match position {
        Position::Start => None,
        Position::Bucket(number) => Some(number),
        Position::End => return Ok((0, position)),
    };
    let mut next = 0_u32;
    let mut lookup = LookupBatch {
        in_batch: from.as_mut().map_or(0, |from| (&raw mut *from) as u64),
        out_batch: (&raw mut next) as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.as_mut_ptr() as u64,
        count: u32::try_from(keys.len().min(values.len())).unwrap_or(u32::MAX),
        map_fd: sockets.as_raw_fd() as u32,
        elem_flags: 0,
        flags: 0,
    };
    match call(BPF_MAP_LOOKUP_BATCH, &mut lookup) {
        Ok(_) => Ok((lookup.count as usize, Position::Bucket(next))),
        // These are the last entries. The kernel still sets their number.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok((lookup.count as usize, Position::End)),
        Err(error) if error.raw_os_error().is_some_and(|code| UNLOCKABLE.contains(&code)) => {
            Ok((lookup.count as usize, Position::Bucket(next)))
        }
        Err(error) => Err(error),
    }
}

fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<OwnedFd> {
    let descriptor = RawFd::try_from(call(command, attributes)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for this process.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn call<T>(command: libc::c_long, attributes: &mut T) -> io::Result<libc::c_long> {
    let attributes: *mut T = attributes;
    // SAFETY: the attributes have the stated size and stay valid during the call, as does everything that the callers let them point to.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
