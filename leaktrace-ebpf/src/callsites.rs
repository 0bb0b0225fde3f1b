//! Finding the call site of an open, or making one.

use crate::{
    constants::enabled,
    copies,
    kernel::Task,
    lifecycle::Twin,
    maps::{
        CALLSITE_INDEX, CALLSITES, CAPTURES, FINE_CALLSITES, FREE_CALLSITES, SCRATCH, STACKS, TALLIES, add, count_lost,
    },
    sampling,
    stack::{self, MIX},
};
use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{bpf_get_current_comm, generated::bpf_probe_read_kernel},
};
use core::hint::cold_path;
use leaktrace_common::{
    BusyCallsite, CallsiteKey, Direction, NOT_SAMPLED, StackEntry, Tally, capture, lifetime_bucket, opaque, setup_flags,
};

/// How many [`Direction`]s there are.
const DIRECTIONS: u32 = 3;

/// Index of the unknown call site.
pub const UNKNOWN: u32 = 0;

/// The call site of an open that happens now in the context of process `tgid`. [`UNKNOWN`] where no index is left.
#[inline(always)]
pub fn current(task: Task, tgid: u32, direction: Direction, twin: Twin, now_ns: u64) -> u32 {
    let mut key = CallsiteKey { stack_hash: 0, tgid, direction: u32::from(direction.raw()) };
    let left_out = sampling::leaves_out(tgid, now_ns);
    if left_out {
        key.stack_hash = NOT_SAMPLED;
    }
    let Some(scratch) = SCRATCH.get_ptr_mut(u32::from(direction.raw()) + twin.place() * DIRECTIONS) else {
        return UNKNOWN;
    };
    // SAFETY: the scratch entry belongs to this processor and to this program, which does not nest.
    let scratch = unsafe { &mut *scratch };
    if left_out || !enabled(setup_flags::STACKS) {
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
    if coarse != key.stack_hash && !may_have_another(tgid) {
        // Stale words make ever new hashes: this process has had its share of call sites.
        key.stack_hash = coarse;
        if let Some(index) = lookup(&key) {
            return index;
        }
    }
    let index = create(&key, Some(&mut scratch.stack), now_ns, comm());
    if enabled(setup_flags::STACK_COPIES)
        && index != UNKNOWN
        && let Some(registers) = registers
    {
        copies::take(index, tgid, &registers, now_ns);
    }
    index
}

/// The call site that stands for sockets of `tgid` whose opening nobody saw.
#[inline(always)]
pub fn of_holder(tgid: u32, now_ns: u64, comm: [u8; 16]) -> u32 {
    let key = CallsiteKey { stack_hash: 0, tgid, direction: u32::from(Direction::Unknown.raw()) };
    lookup(&key).unwrap_or_else(|| create(&key, None, now_ns, comm))
}

/// Who else may come to a counter of this processor's own before the program that is counting goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Company {
    /// Nobody.
    Alone,
    /// Another program that counts the same, in an interrupt or because this one is preempted.
    Interrupted,
}

/// Where what happens to sockets of a call site is counted.
pub struct Counters {
    tally: *mut Tally,
    /// Whether nobody else counts there at this time.
    is_alone: bool,
    /// Whether all processors count there.
    is_shared: bool,
}

impl Counters {
    /// Those of a call site that this processor counts in.
    #[inline(always)]
    pub fn of(callsite: u32, company: Company) -> Option<Self> {
        let site = CALLSITES.get_ptr_mut(callsite)?;
        // SAFETY: the pointer is a live map value; user space may write the field at any time.
        match unsafe { (&raw const (*site).tallies).read_volatile() } {
            // SAFETY: as above.
            0 => Some(Self { tally: unsafe { &raw mut (*site).tally }, is_alone: false, is_shared: true }),
            own => {
                let tally = TALLIES.get_ptr_mut(own as u32)?;
                Some(Self { tally, is_alone: company == Company::Alone, is_shared: false })
            }
        }
    }

    /// Counts one more socket that was opened there.
    #[inline(always)]
    pub fn add_opened(&self) {
        // SAFETY: the pointer is a live map value.
        self.add(unsafe { &raw mut (*self.tally).opened }, 1);
    }

    /// Tells user space of a call site that may be worth tallies of its own: until it has them, what it counts wanders from
    /// processor to processor with every connection, and the next sample may be long to come.
    ///
    /// That is when it has opened 1,024, and twice as many each time: no more than some dozen times, should it not be worth it.
    #[inline(always)]
    pub fn tell_if_busy(&self, callsite: u32) {
        const FIRST: u64 = 1024;
        if !self.is_shared {
            return;
        }
        // Another processor may have counted on: then it is the next power.
        // SAFETY: the pointer is a live map value.
        let opened = unsafe { (&raw const (*self.tally).opened).read_volatile() };
        if opened >= FIRST && opened & (opened - 1) == 0 {
            cold_path();
            let busy = BusyCallsite { callsite, _pad: [0; 3] };
            // Where there is no room for it, the next sample sees it.
            let _ = CAPTURES.output::<BusyCallsite>(busy, 0);
        }
    }

    /// Takes back that one was.
    #[inline(always)]
    pub fn take_opened(&self) {
        // SAFETY: as above.
        self.add(unsafe { &raw mut (*self.tally).opened }, 1_u64.wrapping_neg());
    }

    /// Counts the end of one whose opening nobody saw.
    #[inline(always)]
    pub fn add_closed_adopted(&self) {
        // SAFETY: as above.
        self.add(unsafe { &raw mut (*self.tally).closed_adopted }, 1);
    }

    /// Counts the end of one that was open so long.
    #[inline(always)]
    pub fn add_lifetime(&self, lifetime_ns: u64) {
        let bucket = lifetime_bucket(lifetime_ns);
        // SAFETY: as above, and `lifetime_bucket` stays below its length.
        self.add(unsafe { (&raw mut (*self.tally).lifetimes).cast::<u64>().add(bucket) }, 1);
        // Two processors may race here; the loser's value is lost, which the next long one mends.
        // SAFETY: the pointer is a live map value.
        unsafe {
            if (*self.tally).longest_ns < lifetime_ns {
                (*self.tally).longest_ns = lifetime_ns;
            }
        }
    }

    #[inline(always)]
    fn add(&self, counter: *mut u64, amount: u64) {
        if self.is_alone {
            // A locked addition waits for all that the processor has still to write.
            // SAFETY: the pointer is a live map value.
            unsafe { counter.write_volatile(counter.read_volatile().wrapping_add(amount)) };
        } else {
            add(counter, amount);
        }
    }
}

/// Counts one more socket that a pass has found, for that call site.
#[inline(always)]
pub fn count_opened(callsite: u32) {
    if let Some(counters) = Counters::of(callsite, Company::Interrupted) {
        counters.add_opened();
    }
}

/// Places in [`Recent`], a power of two.
const RECENT: usize = 64;

/// Indexes of the call sites that one program on one processor has found of late, each at a place that its key gives: what
/// the call site itself says tells whether it is the one, without a look into the hash table.
#[repr(C)]
pub struct Recent([u32; RECENT]);

impl Recent {
    #[inline(always)]
    fn find(&mut self, key: &CallsiteKey) -> Option<u32> {
        let hash = (key.stack_hash ^ u64::from(key.tgid)).wrapping_mul(MIX);
        let place = &mut self.0[opaque(hash >> 58) as usize & (RECENT - 1)];
        let found = *place;
        if let Some(site) = CALLSITES.get_ptr(found)
            // SAFETY: the pointer is a live map value. What was given back has no process, which no key is without.
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

/// Most call sites of one process that are told apart by more than frame pointers.
const MOST_FINE: u32 = 128;

/// Counts one more fine call site of a process; false when it has had enough, or cannot be counted.
#[inline(always)]
fn may_have_another(tgid: u32) -> bool {
    match FINE_CALLSITES.get_ptr_mut(tgid) {
        Some(count) => {
            // Two processors may count one for two: the bound need not be exact.
            // SAFETY: the pointer is a live map value.
            let before = unsafe { *count };
            if before >= MOST_FINE {
                return false;
            }
            // SAFETY: as above.
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

/// Takes a free index, fills it and publishes it. Two processors may do so for one key at a time: the second gives its
/// index back.
#[inline(always)]
fn create(key: &CallsiteKey, stack: Option<&mut StackEntry>, now_ns: u64, comm: [u8; 16]) -> u32 {
    let Ok(Some(index)) = FREE_CALLSITES.pop() else {
        count_lost!(stacks);
        return UNKNOWN;
    };
    let (Some(site), Some(slot)) = (CALLSITES.get_ptr_mut(index), STACKS.get_ptr_mut(index)) else {
        return UNKNOWN;
    };
    // The counters are zero: user space clears an entry before it frees its index.
    // SAFETY: the index is ours until it is published, here and in the next two blocks.
    unsafe { (*site).first_ns = now_ns };
    // SAFETY: see above.
    unsafe { (*site).comm = comm };
    // SAFETY: see above.
    unsafe { (*site).key = *key };
    match stack {
        Some(stack) => {
            let from: *const StackEntry = stack;
            // SAFETY: both are whole entries; the helper copies kernel memory and checks it.
            let _ = unsafe { bpf_probe_read_kernel(slot.cast(), size_of::<StackEntry>() as u32, from.cast()) };
        }
        None => {
            // SAFETY: the index is ours until it is published.
            unsafe { (*slot).len = 0 };
        }
    }
    if CALLSITE_INDEX.insert(key, index, u64::from(BPF_NOEXIST)).is_ok() {
        return index;
    }
    // SAFETY: the index was never published.
    unsafe { (*site).key.tgid = 0 };
    let _ = FREE_CALLSITES.push(index, 0);
    lookup(key).unwrap_or(UNKNOWN)
}
