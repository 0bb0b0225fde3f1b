//! Pauses: an iterator over a map runs to its end in one system call, and a kernel that does not preempt system calls would
//! let nobody else onto that processor meanwhile. So every few sockets the read ends early and user space comes back.
//!
//! The kernel ends a read where a row does not fit, if there is any row before (`bpf_seq_read`, kernel/bpf/bpf_iter.c): one
//! short row makes sure of that, then more is written than can fit. That never reaches user space, and the socket is shown
//! again in the next read.

use super::{Meta, READ_BYTES, write_row};
use crate::{
    constants::offset,
    kernel::{Fields, Typed},
    maps::TOO_MUCH,
};
use aya_ebpf::helpers::generated::bpf_seq_write;
use leaktrace_common::{PassTotals, PauseRow, row_kind};

/// Sockets between two pauses: about a millisecond.
const SOCKETS: u64 = 2048;

/// Whether the read must end here; if so, [`begin`] is to be called, and nothing else done.
#[inline(always)]
pub fn is_due(meta: *mut Meta, totals: &mut PassTotals) -> bool {
    totals.since_pause += 1;
    if totals.since_pause <= SOCKETS {
        return false;
    }
    // SAFETY: the verifier knows the context and that its meta is never null.
    let seq = unsafe { (*meta).seq };
    if Typed(seq.cast()).read::<u64>(offset!(seq_count)) == 0 {
        write_row(meta, &PauseRow { kind: row_kind::PAUSE, _pad: 0 });
        return false;
    }
    totals.since_pause = 0;
    true
}

/// Ends the read.
#[inline(always)]
pub fn begin(meta: *mut Meta) {
    let Some(too_much) = TOO_MUCH.get_ptr_mut(0) else { return };
    // SAFETY: the verifier knows the context and that its meta is never null.
    let seq = unsafe { (*meta).seq };
    // SAFETY: the map value is that long. The kernel does not even begin to copy it.
    let _ = unsafe { bpf_seq_write(seq, too_much.cast(), READ_BYTES as u32) };
}
