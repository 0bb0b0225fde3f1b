//! The passes that user space starts: over sockets, over descriptors, over records.
//!
//! Each is a BPF iterator: user space reads a descriptor, the kernel runs the program for every object and copies
//! out what it writes. aya has no macros for iterators, so each is a plain function in the section `iter/…`; the
//! structures below are the iterators' contexts as the kernel's BTF describes them (`struct bpf_iter__tcp` and so on).
//! Where the kernel refuses iterators over maps, records are gone through by lists of their keys ([`listed`]).

mod batch;
mod holders;
mod judge;
mod listed;
mod pause;
mod records;
pub mod row;
mod sockets;
mod sweep;

use aya_ebpf::{bindings::seq_file, helpers::generated::bpf_seq_write};
pub use batch::Batch;
use leaktrace_common::SocketRow;

/// `struct bpf_iter_meta` (include/linux/bpf.h, 5.8), as far as it is used.
#[repr(C)]
pub struct Meta {
    /// Where rows are written to.
    pub seq: *mut seq_file,
    /// Number of this run of the iterator.
    pub session: u64,
    /// Number of the object shown; the same again when its rows did not fit and it is shown once more.
    pub number: u64,
}

/// The kernel's room for what is written in one read of an iterator (`bpf_seq_read`, kernel/bpf/bpf_iter.c).
pub const READ_BYTES: usize = 32 << 10;

/// The number after that of the object shown now: never 0.
#[inline(always)]
pub fn shown(meta: *mut Meta) -> u64 {
    // SAFETY: the verifier knows the context and that its meta is never null.
    unsafe { (*meta).number + 1 }
}

/// Where a pass over sockets leaves the rows of those that are worth a look.
pub trait Output: Copy {
    /// Takes one row.
    fn socket(self, row: &SocketRow);
}

impl Output for *mut Meta {
    #[inline(always)]
    fn socket(self, row: &SocketRow) {
        write_row(self, row);
    }
}

/// Writes one row. If it does not fit, the kernel ends this read and shows the object again in the next: whatever a
/// program counts must bear that, see [`shown`].
#[inline(always)]
pub fn write_row<T>(meta: *mut Meta, row: &T) {
    // SAFETY: the verifier knows the context and that its meta is never null.
    let seq = unsafe { (*meta).seq };
    let from: *const T = row;
    // SAFETY: the row is as long as its type says.
    let _ = unsafe { bpf_seq_write(seq, from.cast_mut().cast(), size_of::<T>() as u32) };
}
