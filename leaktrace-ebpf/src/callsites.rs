//! Finding the call site of an open, or creating one.

use crate::{
    constants::enabled,
    copies,
    duplicates::HookProgram,
    losses::count_lost,
    map_values::{RECENT, Recent},
    maps::{CALLSITE_INDEX, CALLSITES, FINE_CALLSITES, FREE_CALLSITES, SCRATCH, STACKS},
    sampling,
    stack::{self, MIX},
    task::Task,
};
use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{bpf_get_current_comm, generated::bpf_probe_read_kernel},
};
use core::hint::cold_path;
use leaktrace_common::{
    CallsiteKey, Direction, NOT_SAMPLED, StackEntry, UNKNOWN_CALLSITE, capture, opaque, setup_flags,
};

/// The call site of an open that happens now in process `tgid`; [`UNKNOWN_CALLSITE`] if all indexes are in use.
#[inline(always)]
pub fn current(task: Task, tgid: u32, direction: Direction, program: HookProgram, now_ns: u64) -> u32 {
    let mut key = CallsiteKey { stack_hash: 0, tgid, direction: u32::from(direction.raw()) };
    let is_skipped = sampling::skips(tgid, now_ns);
    if is_skipped {
        key.stack_hash = NOT_SAMPLED;
    }
    let Some(scratch) = SCRATCH.get_ptr_mut(u32::from(direction.raw()) + program.index() * Direction::COUNT) else {
        return UNKNOWN_CALLSITE;
    };
    // SAFETY: the scratch entry belongs to this processor and to this program, which does not nest.
    let scratch = unsafe { &mut *scratch };
    if is_skipped || !enabled(setup_flags::STACKS) {
        return scratch.recent.find(&key).unwrap_or_else(|| create(&key, None, now_ns, comm()));
    }
    let registers = task.user_registers(&mut scratch.registers);
    let mut coarse = 0;
    match &registers {
        Some(registers) => {
            let hashes = stack::walk(task, registers, tgid, scratch);
            key.stack_hash = hashes.fine;
            coarse = hashes.coarse;
        }
        None => {
            scratch.stack.len = 0;
            scratch.stack.leaf_return = 0;
            scratch.stack.ended = capture::NO_USER;
        }
    }
    if let Some(index) = scratch.recent.find(&key) {
        if enabled(setup_flags::STACK_COPIES) {
            copies::take_if_wanted(index, tgid, registers, now_ns);
        }
        return index;
    }
    cold_path();
    if coarse != key.stack_hash && !may_have_another_fine(tgid) {
        // Stale words on the stack make ever new fine hashes, and this process has reached its limit.
        key.stack_hash = coarse;
        if let Some(index) = lookup(&key) {
            return index;
        }
    }
    let index = create(&key, Some(&mut scratch.stack), now_ns, comm());
    if enabled(setup_flags::STACK_COPIES)
        && index != UNKNOWN_CALLSITE
        && let Some(registers) = registers
    {
        copies::take(index, tgid, &registers, now_ns);
    }
    index
}

/// The call site for adopted sockets that process `tgid` holds.
#[inline(always)]
pub fn of_holder(tgid: u32, now_ns: u64, comm: [u8; 16]) -> u32 {
    let key = CallsiteKey { stack_hash: 0, tgid, direction: u32::from(Direction::Unknown.raw()) };
    lookup(&key).unwrap_or_else(|| create(&key, None, now_ns, comm))
}

impl Recent {
    #[inline(always)]
    fn find(&mut self, key: &CallsiteKey) -> Option<u32> {
        let hash = (key.stack_hash ^ u64::from(key.tgid)).wrapping_mul(MIX);
        let place = &mut self.0[opaque(hash >> 58) as usize & (RECENT - 1)];
        let found = *place;
        if let Some(site) = CALLSITES.get_ptr(found)
            // SAFETY: the pointer is a live map value. An unused entry has process 0, which is in no key.
            && unsafe { (*site).key } == *key
        {
            return Some(found);
        }
        cold_path();
        let index = lookup(key)?;
        *place = index;
        Some(index)
    }
}

#[inline(always)]
fn lookup(key: &CallsiteKey) -> Option<u32> {
    // SAFETY: the value is four bytes that are written once, before the entry is inserted.
    CALLSITE_INDEX.get_ptr(key).map(|index| unsafe { *index })
}

/// Most call sites of one process with a fine hash ([`stack::StackHashes::fine`]).
const MOST_FINE: u32 = 128;

/// Counts one more fine call site of a process. False if the process has reached the limit, or cannot be counted.
#[inline(always)]
fn may_have_another_fine(tgid: u32) -> bool {
    match FINE_CALLSITES.get_ptr_mut(tgid) {
        Some(count) => {
            // Two processors may count one instead of two: the limit need not be exact.
            // SAFETY: the pointer is a live map value.
            let before = unsafe { *count };
            if before >= MOST_FINE {
                return false;
            }
            // SAFETY: the pointer is a live map value.
            unsafe { *count = before + 1 };
            true
        }
        None => FINE_CALLSITES.insert(tgid, 1, 0).is_ok(),
    }
}

#[inline(always)]
fn comm() -> [u8; 16] {
    bpf_get_current_comm().unwrap_or_default()
}

/// Takes a free index, fills the entry and publishes it. If two processors do so for one key at the same time, the second gives its
/// index back.
#[inline(always)]
fn create(key: &CallsiteKey, stack: Option<&mut StackEntry>, now_ns: u64, comm: [u8; 16]) -> u32 {
    let Ok(Some(index)) = FREE_CALLSITES.pop() else {
        count_lost!(stacks);
        return UNKNOWN_CALLSITE;
    };
    let (Some(site), Some(slot)) = (CALLSITES.get_ptr_mut(index), STACKS.get_ptr_mut(index)) else {
        return UNKNOWN_CALLSITE;
    };
    // The counters are zero: user space clears an entry before it frees its index.
    // SAFETY: only this program uses the index until it is published.
    unsafe { (*site).first_ns = now_ns };
    // SAFETY: only this program uses the index until it is published.
    unsafe { (*site).comm = comm };
    // SAFETY: only this program uses the index until it is published.
    unsafe { (*site).key = *key };
    match stack {
        Some(stack) => {
            let from: *const StackEntry = stack;
            // SAFETY: both are whole entries; the helper copies kernel memory and checks it.
            let _ = unsafe { bpf_probe_read_kernel(slot.cast(), size_of::<StackEntry>() as u32, from.cast()) };
        }
        None => {
            // SAFETY: only this program uses the index until it is published.
            unsafe { (*slot).len = 0 };
        }
    }
    if CALLSITE_INDEX.insert(key, index, u64::from(BPF_NOEXIST)).is_ok() {
        return index;
    }
    // SAFETY: the index was never published.
    unsafe { (*site).key.tgid = 0 };
    let _ = FREE_CALLSITES.push(index, 0);
    lookup(key).unwrap_or(UNKNOWN_CALLSITE)
}
