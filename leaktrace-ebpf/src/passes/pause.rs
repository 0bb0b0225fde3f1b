//! Pauses of an iterator over a map. It would run to its end in one system call, and a kernel that does not preempt system calls would run
//! nothing else on that processor meanwhile. So the read ends early every few sockets, and user space starts the next one.
//!
//! The kernel ends a read at a row that does not fit, if there is a row before it (`bpf_seq_read`, kernel/bpf/bpf_iter.c). So a pause
//! writes a short row if there is none, then more than can fit. The latter never reaches user space, and the kernel shows the socket again
//! in the next read.

use super::output::{Meta, write_row};
use crate::{
    constants::offset,
    fields::{Fields, Typed},
    map_values::READ_BYTES,
    maps::TOO_MUCH,
};
use aya_ebpf::helpers::generated::bpf_seq_write;
use leaktrace_common::{PassTotals, PauseRow, row_kind};

/// Sockets between two pauses: about a millisecond.
const SOCKETS: u64 = 2048;

/// Whether the read must end here. If so, the caller must call [`begin`] and do nothing else.
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
    // SAFETY: the map value is that long. The kernel does not copy it.
    let _ = unsafe { bpf_seq_write(seq, too_much.cast(), READ_BYTES as u32) };
}
