//! Starting an iterator over a map's entries, which aya cannot do yet.

use std::{
    fs::File,
    io,
    mem::offset_of,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

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

/// Starts `program`, an `iter/bpf_map_elem`, over the entries of `map`.
pub fn open(program: BorrowedFd<'_>, map: BorrowedFd<'_>) -> io::Result<File> {
    let info = IterLinkInfo { map_fd: map.as_raw_fd() as u32, _pad: [0; 3] };
    let create = LinkCreate {
        prog_fd: program.as_raw_fd() as u32,
        target_fd: 0,
        attach_type: BPF_TRACE_ITER,
        flags: 0,
        iter_info: (&raw const info) as u64,
        iter_info_len: size_of::<IterLinkInfo>() as u32,
        _pad: 0,
    };
    let link = bpf(BPF_LINK_CREATE, &create)?;
    let iterator = bpf(BPF_ITER_CREATE, &IterCreate { link_fd: link.as_raw_fd() as u32, flags: 0 })?;
    Ok(File::from(iterator))
}

fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<OwnedFd> {
    let attributes: *const T = attributes;
    // SAFETY: the attributes are as long as said and live through the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    let descriptor = RawFd::try_from(result).unwrap_or(-1);
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
