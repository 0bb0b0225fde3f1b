//! Copies of user stacks, which user space unwinds by tables: one for a call site, at a bounded rate for a process.

use crate::{
    kernel::UserRegisters,
    maps::{CALLSITES, CAPTURES, COPY_RATES, count_lost},
};
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use leaktrace_common::{CopyRate, STACK_COPY_BYTES, StackCapture};

/// Most copies of one process in [`RATE_SPAN_NS`]: 3 MiB, and less than [`CAPTURES`] has room for, so that a process with
/// ever new stacks costs no more and leaves room to others.
const MOST_COPIES: u64 = 128;

/// What the rate is counted in.
const RATE_SPAN_NS: u64 = 1_000_000_000;

/// Takes the copy for a new call site; one that finds no room is counted and wanted from then on.
#[inline(always)]
pub fn take(index: u32, tgid: u32, registers: &UserRegisters, now_ns: u64) {
    if !(may_have_another(tgid, now_ns) && copy_stack(index, tgid, registers)) {
        count_lost!(captures);
        want(index, 1);
    }
}

/// Makes up for a copy that found no room.
#[inline(always)]
pub fn take_if_wanted(index: u32, tgid: u32, registers: Option<UserRegisters>, now_ns: u64) {
    let Some(site) = CALLSITES.get_ptr(index) else { return };
    // SAFETY: the pointer is a live map value.
    if unsafe { (*site).copy_wanted } != 0
        && let Some(registers) = registers
        && may_have_another(tgid, now_ns)
        && copy_stack(index, tgid, &registers)
    {
        want(index, 0);
    }
}

#[inline(always)]
fn want(index: u32, wanted: u64) {
    if let Some(site) = CALLSITES.get_ptr_mut(index) {
        // SAFETY: the pointer is a live map value.
        unsafe { (*site).copy_wanted = wanted };
    }
}

/// Counts one more copy of a process; false when it has had enough for now, or cannot be counted.
#[inline(always)]
fn may_have_another(tgid: u32, now_ns: u64) -> bool {
    let first = CopyRate { since_ns: now_ns, copies: 1 };
    let Some(rate) = COPY_RATES.get_ptr_mut(tgid) else {
        return COPY_RATES.insert(tgid, first, 0).is_ok();
    };
    // Two processors may count one for two: the bound need not be exact.
    // SAFETY: the pointer is a live map value.
    let before = unsafe { *rate };
    if now_ns.wrapping_sub(before.since_ns) >= RATE_SPAN_NS {
        // SAFETY: as above.
        unsafe { *rate = first };
        return true;
    }
    if before.copies >= MOST_COPIES {
        return false;
    }
    // SAFETY: as above.
    unsafe { (*rate).copies = before.copies + 1 };
    true
}

/// Hands user space the registers and as much of the stack as can be read; false where there is no room.
#[inline(always)]
fn copy_stack(index: u32, tgid: u32, registers: &UserRegisters) -> bool {
    let Some(mut room) = CAPTURES.reserve::<StackCapture>(0) else { return false };
    let copy = room.as_mut_ptr();
    // SAFETY: the reservation is STACK_COPY_BYTES long behind `bytes`.
    let to = unsafe { &raw mut (*copy).bytes }.cast::<u8>();
    // The end of the stack may be nearer than the buffer is long: then pieces of falling size, up to 512 bytes before the
    // end. Halving alone would stop short of the thread's start in every program whose `main` has a large frame.
    let mut len = 16384;
    let mut copied = 0;
    while len >= 512 && copied + len <= STACK_COPY_BYTES as u32 {
        // SAFETY: the pieces sum up to no more than the reservation.
        let to = unsafe { to.add(copied as usize) };
        let from = registers.sp.wrapping_add(u64::from(copied));
        // SAFETY: the helper checks the user address itself.
        if unsafe { bpf_probe_read_user(to.cast(), len, from as *const _) } == 0 {
            copied += len;
        }
        len /= 2;
    }
    // SAFETY: the reservation is exactly one StackCapture.
    let copy = unsafe { &mut *copy };
    copy.callsite = index;
    copy.tgid = tgid;
    copy.ip = registers.ip;
    copy.sp = registers.sp;
    copy.bp = registers.bp;
    copy.lr = 0;
    copy.len = copied;
    copy._pad = 0;
    // Wakes user space, which must see the process's memory map while there is one: once for a call site.
    room.submit(0);
    true
}
