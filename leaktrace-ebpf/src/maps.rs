//! All maps.

use crate::{
    duplicates::HookProgram,
    map_values::{Batch, OpenRate, READ_BYTES, Scratch},
};
use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, Queue, RingBuf},
};
use leaktrace_common::{
    CallsiteCounters, CallsiteKey, Clock, CopyRate, Direction, HoldersProgress, Listed, Losses, MAX_CALLSITES,
    MAX_CPU_COUNTERS, MAX_LISTED, MAX_RATED, MAX_TREE, PassSettings, PassTotals, SocketCounts, SocketRecord, SocketRow,
    StackEntry, TreeProcess,
};

/// Address of the `struct sock` → record. User space sets size and allocation flags.
#[map]
pub static SOCKETS: HashMap<u64, SocketRecord> = HashMap::with_max_entries(1 << 20, 0);

/// Call site key → index into [`CALLSITES`] and [`STACKS`].
#[map]
pub static CALLSITE_INDEX: HashMap<CallsiteKey, u32> = HashMap::with_max_entries(MAX_CALLSITES, 0);

/// Process → number of its call sites with a fine hash, see [`crate::stack::StackHashes`].
#[map]
pub static FINE_CALLSITES: HashMap<u32, u32> = HashMap::with_max_entries(MAX_CALLSITES, 0);

/// Process → how many stack copies were made of it recently.
#[map]
pub static COPY_RATES: HashMap<u32, CopyRate> = HashMap::with_max_entries(MAX_CALLSITES, 0);

/// Process → how fast it opens sockets. A process that drops out starts again. User space makes the map small without `--stack-sample`.
#[map]
pub static OPEN_RATES: LruHashMap<u32, OpenRate> = LruHashMap::with_max_entries(MAX_RATED, 0);

/// Identity, counters and pass sums of each call site. User space maps it into its memory.
#[map]
pub static CALLSITES: Array<CallsiteCounters> = Array::with_max_entries(MAX_CALLSITES, BPF_F_MMAPABLE);

/// Counters on each processor for busy call sites: [`CallsiteCounters::cpu_counters`].
#[map]
pub static CPU_COUNTERS: PerCpuArray<SocketCounts> = PerCpuArray::with_max_entries(MAX_CPU_COUNTERS, 0);

/// Stack of each call site.
#[map]
pub static STACKS: Array<StackEntry> = Array::with_max_entries(MAX_CALLSITES, 0);

/// Unused indexes of call sites. User space keeps it filled. A counter in their place would need an atomic fetch-and-add (5.12).
#[map]
pub static FREE_CALLSITES: Queue<u32> = Queue::with_max_entries(MAX_CALLSITES, 0);

/// One entry for each [`Direction`] and [`HookProgram`], because each of these programs may be preempted by another.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(Direction::COUNT * HookProgram::MOST, 0);

/// Messages to user space: [`StackCapture`](leaktrace_common::StackCapture), [`TreeExec`](leaktrace_common::TreeExec),
/// [`BusyCallsite`](leaktrace_common::BusyCallsite). Room for 170 stack copies; user space empties it as it fills.
#[map]
pub static CAPTURES: RingBuf = RingBuf::with_byte_size(1 << 22, 0);

/// The row that the running pass is filling. The verifier knows nothing about a value read from a map, so the paths through a pass merge
/// again. With the row on the stack, it would follow each combination of conditions to the end.
#[map]
pub static ROW: Array<SocketRow> = Array::with_max_entries(1, 0);

/// The sockets that the running pass over records reads together.
#[map]
pub static BATCH: Array<Batch> = Array::with_max_entries(1, 0);

/// As large as the kernel's buffer for one read of an iterator, so that it never fits. Nothing is written here.
#[map]
pub static TOO_MUCH: Array<[u8; READ_BYTES]> = Array::with_max_entries(1, 0);

/// Keys of the records that a pass by list visits.
#[map]
pub static LIST: Array<u64> = Array::with_max_entries(MAX_LISTED, BPF_F_MMAPABLE);

/// State of the list.
#[map]
pub static LISTED: Array<Listed> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Rows that a pass by list has written.
#[map]
pub static LISTED_ROWS: Array<SocketRow> = Array::with_max_entries(MAX_LISTED, BPF_F_MMAPABLE);

/// Keys of new entries in [`SOCKETS`]. With them user space knows the keys of a nearly empty table without reading the table. Room for
/// 16,384 keys, each with eight bytes of the kernel's own.
#[map]
pub static NEW_KEYS: RingBuf = RingBuf::with_byte_size(1 << 18, 0);

/// Not 0 if a key was lost because [`NEW_KEYS`] was full. User space then sets it to 0 and reads the whole table.
#[map]
pub static KEYS_MISSED: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Settings of the passes.
#[map]
pub static SETTINGS: Array<PassSettings> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// See [`crate::clock`].
#[map]
pub static CLOCK: Array<Clock> = Array::with_max_entries(1, 0);

/// Sums of a pass.
#[map]
pub static TOTALS: Array<PassTotals> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The process whose descriptors the holders pass is counting.
#[map]
pub static HOLDING: Array<HoldersProgress> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Losses since the start.
#[map]
pub static LOSSES: Array<Losses> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Process id → process of the followed tree. User space makes it small if no tree is followed.
#[map]
pub static TREE: HashMap<u32, TreeProcess> = HashMap::with_max_entries(MAX_TREE, 0);

/// Messages to user space: [`LeftRow`](leaktrace_common::LeftRow). User space makes it small if no tree is followed.
#[map]
pub static LEFT: RingBuf = RingBuf::with_byte_size(1 << 22, 0);
