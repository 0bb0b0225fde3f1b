//! Where passes write their rows.

use aya_ebpf::{bindings::seq_file, helpers::generated::bpf_seq_write};
use leaktrace_common::SocketRow;

/// `struct bpf_iter_meta` (include/linux/bpf.h, 5.8), as far as it is used.
#[repr(C)]
pub struct Meta {
    /// Where rows are written.
    pub seq: *mut seq_file,
    /// Number of this run of the iterator.
    pub session: u64,
    /// Number of the object. An object is shown a second time, with the same number, if its rows did not fit.
    pub number: u64,
}

/// The number of the current object plus 1, so never 0.
#[inline(always)]
pub fn shown(meta: *mut Meta) -> u64 {
    // SAFETY: the verifier knows the context and that its meta is never null.
    unsafe { (*meta).number + 1 }
}

/// Where a pass over sockets writes the rows of sockets that user space wants to see.
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

/// Writes one row. If it does not fit, the kernel ends this read and shows the object again in the next one. Whatever a program counts
/// must allow for that, see [`shown`].
#[inline(always)]
pub fn write_row<T>(meta: *mut Meta, row: &T) {
    // SAFETY: the verifier knows the context and that its meta is never null.
    let seq = unsafe { (*meta).seq };
    let from: *const T = row;
    // SAFETY: the row is as long as its type.
    let _ = unsafe { bpf_seq_write(seq, from.cast_mut().cast(), size_of::<T>() as u32) };
}
