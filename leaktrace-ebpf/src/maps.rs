//! All maps.

use crate::{
    passes::{Batch, READ_BYTES},
    sampling::OpenRate,
    stack::Scratch,
};
use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, Queue, RingBuf},
};
use core::arch::asm;
use leaktrace_common::{
    CallsiteCounters, CallsiteKey, Clock, CopyRate, HoldersProgress, Listed, Losses, MAX_CALLSITES, MAX_LISTED,
    MAX_RATED, MAX_TALLIES, MAX_TREE, PassSettings, PassTotals, SocketRecord, SocketRow, StackEntry, Tally,
    TreeProcess, placeholder,
};

/// `struct sock *` → record. User space sets size and allocation flags.
#[map]
pub static SOCKETS: HashMap<u64, SocketRecord> = HashMap::with_max_entries(1 << 20, 0);

/// Call site key → index into [`CALLSITES`] and [`STACKS`].
#[map]
pub static CALLSITE_INDEX: HashMap<CallsiteKey, u32> = HashMap::with_max_entries(MAX_CALLSITES, 0);

/// How many call sites of a process were told apart by more than frame pointers.
#[map]
pub static FINE_CALLSITES: HashMap<u32, u32> = HashMap::with_max_entries(MAX_CALLSITES, 0);

/// How many stack copies of a process were taken of late.
#[map]
pub static COPY_RATES: HashMap<u32, CopyRate> = HashMap::with_max_entries(MAX_CALLSITES, 0);

/// How fast a process opens sockets; one that is forgotten begins anew. User space makes it small where nobody asks.
#[map]
pub static OPEN_RATES: LruHashMap<u32, OpenRate> = LruHashMap::with_max_entries(MAX_RATED, 0);

/// Identity, counters and pass sums of each call site; user space maps it.
#[map]
pub static CALLSITES: Array<CallsiteCounters> = Array::with_max_entries(MAX_CALLSITES, BPF_F_MMAPABLE);

/// What each processor has counted of the call sites that many use: [`CallsiteCounters::tallies`].
#[map]
pub static TALLIES: PerCpuArray<Tally> = PerCpuArray::with_max_entries(MAX_TALLIES, 0);

/// Stack of each call site.
#[map]
pub static STACKS: Array<StackEntry> = Array::with_max_entries(MAX_CALLSITES, 0);

/// Indexes that no call site uses. User space keeps it filled: fetching from a counter would need 5.12.
#[map]
pub static FREE_CALLSITES: Queue<u32> = Queue::with_max_entries(MAX_CALLSITES, 0);

/// One entry for each [`leaktrace_common::Direction`] and [`crate::lifecycle::Twin`], since each of these programs may
/// be preempted by another.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(9, 0);

/// Copies of user stacks for unwinding in user space, one for each new call site: room for 170, since it is emptied as
/// it fills.
#[map]
pub static CAPTURES: RingBuf = RingBuf::with_byte_size(1 << 22, 0);

/// The row that the running pass is filling: what is read back from a map is unknown to the verifier, so that paths
/// through a pass merge again. On the stack it would follow each combination of conditions to the end.
#[map]
pub static ROW: Array<SocketRow> = Array::with_max_entries(1, 0);

/// The sockets that the running pass over records has at hand.
#[map]
pub static BATCH: Array<Batch> = Array::with_max_entries(1, 0);

/// More than the kernel has room for in one read of an iterator; nothing is ever written to it.
#[map]
pub static TOO_MUCH: Array<[u8; READ_BYTES]> = Array::with_max_entries(1, 0);

/// Keys of records that a pass is to go through, where it has no iterator.
#[map]
pub static LIST: Array<u64> = Array::with_max_entries(MAX_LISTED, BPF_F_MMAPABLE);

/// How many there are, and how many rows came of them.
#[map]
pub static LISTED: Array<Listed> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Those rows.
#[map]
pub static LISTED_ROWS: Array<SocketRow> = Array::with_max_entries(MAX_LISTED, BPF_F_MMAPABLE);

/// Keys of entries that are new in [`SOCKETS`], so that user space has the keys of a table that is nearly empty without going through
/// it: room for 16,384, each with the kernel's own eight bytes.
#[map]
pub static NEW_KEYS: RingBuf = RingBuf::with_byte_size(1 << 18, 0);

/// Not 0 if [`NEW_KEYS`] lacks some. User space then asks the table for all, once it has set this to 0.
#[map]
pub static KEYS_MISSED: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// What the passes go by.
#[map]
pub static SETTINGS: Array<PassSettings> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// See [`crate::clock`].
#[map]
pub static CLOCK: Array<Clock> = Array::with_max_entries(1, 0);

/// What a pass found.
#[map]
pub static TOTALS: Array<PassTotals> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The process whose descriptors the holders pass is counting.
#[map]
pub static HOLDING: Array<HoldersProgress> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// What was lost.
#[map]
pub static LOSSES: Array<Losses> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Process id → process, of the tree that is followed. User space makes it small where none is.
#[map]
pub static TREE: HashMap<u32, TreeProcess> = HashMap::with_max_entries(MAX_TREE, 0);

/// Sockets that only an exit closed. User space makes it small where no tree is followed.
#[map]
pub static LEFT: RingBuf = RingBuf::with_byte_size(1 << 22, 0);

/// Adds to a counter that other processors add to as well.
///
/// Written in assembly because this target has no compare-and-swap, and so Rust offers it no atomic arithmetic. The
/// form without a result works on every kernel.
#[inline(always)]
pub fn add(counter: *mut u64, amount: u64) {
    // SAFETY: callers pass a pointer into a map value, aligned by its type; the verifier checks it.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) counter, in(reg) amount, options(nostack)) };
}

/// Puts `new` where `expected` is, in one step; what was there.
///
/// `r0 = cmpxchg_64(r1 + 0, r0, r2)` since 5.12, in bytes because the compiler has that word only for later processors than the
/// one it compiles for. On kernels without it user space makes a mere load of it, which [`setup_flags::EXCHANGE`] tells.
///
/// [`setup_flags::EXCHANGE`]: leaktrace_common::setup_flags::EXCHANGE
#[inline(always)]
pub fn exchange(place: *mut u64, expected: u64, new: u64) -> u64 {
    const BYTES: [u8; 8] = placeholder::EXCHANGE;
    let found: u64;
    // SAFETY: callers pass a pointer into a map value, aligned by its type; the verifier checks it.
    unsafe {
        asm!(
            ".quad {}",
            const i64::from_le_bytes(BYTES),
            in("r1") place,
            in("r2") new,
            inlateout("r0") expected => found,
            options(nostack),
        );
    }
    found
}

/// Counts one more of something lost.
macro_rules! count_lost {
    ($field:ident) => {
        if let Some(losses) = $crate::maps::LOSSES.get_ptr_mut(0) {
            // SAFETY: the pointer is a live map value.
            let counter = unsafe { &raw mut (*losses).$field };
            $crate::maps::add(counter, 1);
        }
    };
}
pub(crate) use count_lost;
