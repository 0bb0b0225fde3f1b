//! What user space sets for the kernel side, and what the passes count for user space.

use crate::{Ticks, Verdict};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bits of [`PassSettings::emit`].
pub mod emit {
    /// Write a row for every open socket, not only for those with a verdict in [`super::PassSettings::emit_verdicts`].
    pub const ALL: u32 = 1;
    /// The table of records is full: remove vacant records at once.
    pub const TABLE_FULL: u32 = 2;
}

/// Settings of a pass. User space writes them before each pass.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct PassSettings {
    /// `CLOCK_BOOTTIME` that the pass uses as the current time, in nanoseconds.
    pub now_ns: u64,
    /// The sweep keeps records opened after this time, `CLOCK_BOOTTIME`.
    pub sweep_before_ns: u64,
    /// Age from which a socket is long-lived.
    pub threshold_ns: u64,
    /// How long a stuck state must last.
    pub stall: Ticks,
    /// How long without payload counts as idle.
    pub idle: Ticks,
    /// [`crate::Verdicts`] for which rows are written.
    pub emit_verdicts: u32,
    /// [`emit`] bits.
    pub emit: u32,
    /// Number of this sampling pass, never 0.
    pub pass: u16,
    /// Number of the last or current holders pass; 0 before the first.
    pub held_pass: u16,
    #[doc(hidden)]
    pub _pad: u32,
}

const _: () = assert!(size_of::<PassSettings>() == 48);

/// Bits of [`Setup::flags`].
pub mod setup_flags {
    /// Capture user stacks.
    pub const STACKS: u32 = 1;
    /// The kernel has `bpf_task_pt_regs` and `bpf_get_current_task_btf` (5.15).
    pub const TASK_PT_REGS: u32 = 2;
    /// `bpf_get_socket_cookie` takes a socket in tracing programs (5.12).
    pub const SOCKET_COOKIE: u32 = 4;
    /// New call sites also get a copy of their user stack.
    pub const STACK_COPIES: u32 = 8;
    /// Opening hooks by trampoline have duplicate programs, because this kernel may skip one.
    pub const DUPLICATES: u32 = 16;
    /// Only the process tree of one command is followed.
    pub const TREE: u32 = 32;
    /// Stacks of processes that open many sockets are sampled: one in [`super::Setup::sample_one_in`] is captured.
    pub const STACK_SAMPLE: u32 = 64;
    /// The kernel has `bpf_rdonly_cast` (6.2).
    pub const RDONLY_CAST: u32 = 128;
    /// Programs have an atomic compare-and-exchange (5.12).
    pub const EXCHANGE: u32 = 256;
    /// Opening hooks by tracepoint have duplicate programs, because this kernel may skip one.
    pub const TRACEPOINT_DUPLICATES: u32 = 512;
    /// The hook at the end of a socket may be interrupted by itself, for the end of another socket.
    pub const ENDS_INTERRUPTED: u32 = 1024;
}

/// Facts about the running kernel and choices of the user that stay the same while the programs are loaded. They become part of the
/// code ([`crate::relocation`]), so that the verifier removes what they switch off. All are below 2^31.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct Setup {
    /// [`setup_flags`]
    pub flags: u32,
    /// Distance from a task's kernel stack to its user registers, for kernels without `bpf_task_pt_regs`.
    pub regs_from_stack: u32,
    /// Bit of `SOCK_DEAD` in `sk_flags`.
    pub sock_dead: u32,
    /// Bit of `SOCK_DONE` in `sk_flags`: a FIN has arrived.
    pub sock_done: u32,
    /// Bit of `SOCK_KEEPOPEN` in `sk_flags`.
    pub sock_keepopen: u32,
    /// With [`setup_flags::STACK_SAMPLE`]: one stack in this many is captured.
    pub sample_one_in: u32,
    /// With [`setup_flags::STACK_SAMPLE`]: sampled are processes that open more sockets than this within a second.
    pub sample_above: u32,
    /// BTF type id of `struct tcp_sock`. This and the type ids below are used only with [`setup_flags::RDONLY_CAST`].
    pub tcp_sock_type: u32,
    /// BTF type id of `struct file`.
    pub file_type: u32,
    /// BTF type id of `struct socket`.
    pub socket_type: u32,
    /// BTF type id of `struct pt_regs`.
    pub regs_type: u32,
    /// BTF type id of `struct list_head`, which starts with a pointer.
    pub pointer_type: u32,
    /// Time between two ticks of the kernel's timer, in nanoseconds.
    pub tick_ns: u32,
}

/// Like [`Setup`], for numbers of eight bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct SetupWide {
    /// Start value of the stack hash.
    pub seed: u64,
}

/// What the kernel side keeps to compute the time without reading the processor's counter.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct Clock {
    /// `CLOCK_BOOTTIME` of tick 0 in nanoseconds, up to two ticks early. It may be before the boot, so it may wrap.
    pub tick_zero_ns: u64,
    /// How far `CLOCK_BOOTTIME` is ahead of `CLOCK_MONOTONIC`: the time that the machine was suspended.
    pub boot_ahead_ns: u64,
    /// Tick up to which both values are used.
    pub valid_until: u64,
}

const _: () = assert!(size_of::<Clock>() == 24);

/// Sums of one sampling pass over all namespaces. User space zeroes them before a pass.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct PassTotals {
    /// Open sockets: full sockets that an application holds or may still accept.
    pub open: u64,
    /// Open sockets with at least one verdict.
    pub flagged: u64,
    /// Open sockets in an accept queue.
    pub in_accept_queue: u64,
    /// Open sockets without a record because the table was full.
    pub unattributed: u64,
    /// Sockets adopted in this pass.
    pub adopted: u64,
    /// Payload that waits to be read.
    pub rx_queue_bytes: u64,
    /// Kernel memory charged to open sockets.
    pub memory_bytes: u64,
    /// Sockets that their application has closed and TCP has not finished with.
    pub orphans: u64,
    /// Kernel memory charged to those.
    pub orphan_memory_bytes: u64,
    /// Number of the last socket plus 1. The kernel shows a socket a second time if its row did not fit. User space zeroes it before
    /// each namespace.
    pub shown: u64,
    /// Sockets since the last pause of a pass over records.
    pub since_pause: u64,
    /// Open sockets by verdict, indexed by [`Verdict`].
    pub verdicts: [u64; Verdict::COUNT],
}

const _: () = assert!(size_of::<PassTotals>() == 168);

/// Most records in one list. A pass over a list takes about a quarter of a millisecond, in which nothing else may run on that
/// processor.
pub const MAX_LISTED: u32 = 512;

/// State of a list of records for a pass, see [`MAX_LISTED`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct Listed {
    /// How many keys the list has. Set by user space.
    pub len: u64,
    /// How many rows the pass has written. Zeroed by user space.
    pub rows: u64,
    /// If not 0, the pass overwrites keys that have no record with 0. Set by user space.
    pub marks_gone: u64,
}

const _: () = assert!(size_of::<Listed>() == 24);

/// Losses since the start.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct Losses {
    /// Sockets without a record because the table was full.
    pub sockets_unattributed: u64,
    /// Opens and holders that got no call site, because all were in use.
    pub stacks: u64,
    /// Records removed by a sweep because their socket was gone: no hook had seen the close.
    pub stale_records: u64,
    /// Call sites whose stack copy did not fit into the ring buffer or exceeded the rate of its process. The next open there tries
    /// again.
    pub captures: u64,
}

const _: () = assert!(size_of::<Losses>() == 32);
