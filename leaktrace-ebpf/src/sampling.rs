//! `--stack-sample`: skipping most stacks of processes that open many sockets. Reached only with [`setup_flags::STACK_SAMPLE`].

use crate::{
    atomic::add,
    constants::{enabled, setup},
    map_values::OpenRate,
    maps::OPEN_RATES,
};
use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use leaktrace_common::setup_flags;

const SECOND_NS: u64 = 1_000_000_000;

/// Whether the stack of an open that happens now is skipped. Counts the open, so it must be called once for each.
#[inline(always)]
pub fn skips(tgid: u32, now_ns: u64) -> bool {
    if !enabled(setup_flags::STACK_SAMPLE) || !is_fast(tgid, now_ns) {
        return false;
    }
    // Random, because in a program that opens at two places in turn, every second open is at the same place.
    // SAFETY: the helper takes nothing.
    let random = unsafe { bpf_get_prandom_u32() };
    (u64::from(random) * u64::from(setup!(sample_one_in))) >> 32 != 0
}

/// Counts an open. Returns whether the process has opened more than the limit, in this span or the one before.
#[inline(always)]
fn is_fast(tgid: u32, now_ns: u64) -> bool {
    let most = u64::from(setup!(sample_above));
    let Some(rate) = OPEN_RATES.get_ptr_mut(tgid) else {
        // If the process cannot be counted, no stack is skipped.
        return OPEN_RATES.insert(tgid, OpenRate { since_ns: now_ns, opened: 1, before: 0 }, 0).is_ok() && most == 0;
    };
    // If two processors end a span at the same time, an open is counted in neither span. The next span is correct again.
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
