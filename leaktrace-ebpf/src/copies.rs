//! Copies of user stacks, which user space unwinds with tables: one for each call site, at a limited rate for each process.

use crate::{
    losses::count_lost,
    maps::{CALLSITES, CAPTURES, COPY_RATES},
    task::UserRegisters,
};
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use leaktrace_common::{CopyRate, MessageKind, STACK_COPY_BYTES, StackCapture};

/// Most copies of one process in [`RATE_SPAN_NS`]. They are 3 MiB, less than [`CAPTURES`] holds, so that a process with ever new stacks
/// leaves room for others.
const MOST_COPIES: u64 = 128;

/// Span in which copies are counted.
const RATE_SPAN_NS: u64 = 1_000_000_000;

/// Makes the copy for a new call site. If there is no room, counts that, and lets the next open try again.
#[inline(always)]
pub fn take(index: u32, tgid: u32, registers: &UserRegisters, now_ns: u64) {
    if !(may_have_another(tgid, now_ns) && copy_stack(index, tgid, registers)) {
        count_lost!(captures);
        want(index, 1);
    }
}

/// Makes the copy of a known call site if an earlier one found no room.
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

/// Counts one more copy of a process. False if the process has reached the limit for now, or cannot be counted.
#[inline(always)]
fn may_have_another(tgid: u32, now_ns: u64) -> bool {
    let first = CopyRate { since_ns: now_ns, copies: 1 };
    let Some(rate) = COPY_RATES.get_ptr_mut(tgid) else {
        return COPY_RATES.insert(tgid, first, 0).is_ok();
    };
    // Two processors may count one instead of two: the limit need not be exact.
    // SAFETY: the pointer is a live map value.
    let before = unsafe { *rate };
    if now_ns.wrapping_sub(before.since_ns) >= RATE_SPAN_NS {
        // SAFETY: the pointer is a live map value.
        unsafe { *rate = first };
        return true;
    }
    if before.copies >= MOST_COPIES {
        return false;
    }
    // SAFETY: the pointer is a live map value.
    unsafe { (*rate).copies = before.copies + 1 };
    true
}

/// Sends user space the registers and as much of the stack as can be read. False if the buffer is full.
#[inline(always)]
fn copy_stack(index: u32, tgid: u32, registers: &UserRegisters) -> bool {
    let Some(mut room) = CAPTURES.reserve::<StackCapture>(0) else { return false };
    let copy = room.as_mut_ptr();
    // SAFETY: the reservation is one StackCapture, with STACK_COPY_BYTES in `bytes`.
    let to = unsafe { &raw mut (*copy).bytes }.cast::<u8>();
    // The stack may end before the buffer does. So it is read in pieces of halving size, which reach to within 512 bytes of the end.
    // A single read of the largest size that succeeds would stop before the thread's start in every program whose `main` has a large
    // frame.
    let mut len = 16384;
    let mut copied = 0;
    while len >= 512 && copied + len <= STACK_COPY_BYTES as u32 {
        // SAFETY: the pieces add up to no more than the reservation.
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
    copy.kind = MessageKind::StackCapture.raw();
    copy.callsite = index;
    copy.tgid = tgid;
    copy.len = copied;
    copy.ip = registers.ip;
    copy.sp = registers.sp;
    copy.bp = registers.bp;
    copy.lr = 0;
    // Wakes user space, which must read the process's memory map while the process exists.
    room.submit(0);
    true
}
