//! Whose stacks are left out: those of a process that opens fast, where one in so many is asked for. Nothing here is
//! reached unless [`setup_flags::STACK_SAMPLE`] is set.

use crate::{
    constants::{enabled, setup},
    maps::{OPEN_RATES, add},
};
use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use leaktrace_common::setup_flags;

const SECOND_NS: u64 = 1_000_000_000;

/// How fast one process opens sockets, counted in spans of a second that begin with an open.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OpenRate {
    /// Begin of the span, `CLOCK_BOOTTIME`.
    since_ns: u64,
    /// Opens in it.
    opened: u64,
    /// Opens in the span before; 0 if the process has opened nothing since that for a second and more.
    before: u64,
}

/// Whether the stack of an open that happens now is left out. To be asked once for an open, which it counts.
#[inline(always)]
pub fn leaves_out(tgid: u32, now_ns: u64) -> bool {
    if !enabled(setup_flags::STACK_SAMPLE) || !is_fast(tgid, now_ns) {
        return false;
    }
    // By chance: of a program that opens here and there in turn, every second open would be of one place only.
    // SAFETY: the helper takes nothing.
    let chance = unsafe { bpf_get_prandom_u32() };
    (u64::from(chance) * u64::from(setup!(sample_one_in))) >> 32 != 0
}

/// Counts an open; whether its process opens more than was set, in this span or the one before.
#[inline(always)]
fn is_fast(tgid: u32, now_ns: u64) -> bool {
    let most = u64::from(setup!(sample_above));
    let Some(rate) = OPEN_RATES.get_ptr_mut(tgid) else {
        // Without room nothing is left out.
        return OPEN_RATES.insert(tgid, OpenRate { since_ns: now_ns, opened: 1, before: 0 }, 0).is_ok() && most == 0;
    };
    // Two processors may end a span at once: then an open is counted in neither, and the next span is whole again.
    // SAFETY: the pointer is a live map value.
    let OpenRate { since_ns, opened, before } = unsafe { *rate };
    let age_ns = now_ns.saturating_sub(since_ns);
    if age_ns < SECOND_NS {
        // SAFETY: the pointer is a live map value.
        add(unsafe { &raw mut (*rate).opened }, 1);
        return opened >= most || before > most;
    }
    let before = if age_ns < 2 * SECOND_NS { opened } else { 0 };
    // SAFETY: the pointer is a live map value.
    unsafe { *rate = OpenRate { since_ns: now_ns, opened: 1, before } };
    most == 0 || before > most
}
