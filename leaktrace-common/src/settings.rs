//! What user space tells the passes, and what the kernel side counts for it.

use crate::{Ticks, Verdict};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Which rows a pass writes besides those with a verdict in [`PassSettings::emit_verdicts`], and what else it does.
pub mod emit {
    /// Every open socket.
    pub const ALL: u32 = 1;
    /// No row: the table is full, and records of closed sockets are to be taken away at once.
    pub const TABLE_FULL: u32 = 2;
}

/// Written by user space before each pass, read by the iterators for each socket.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct PassSettings {
    /// `CLOCK_BOOTTIME` that the pass counts as now, in nanoseconds.
    pub now_ns: u64,
    /// The sweep leaves records alone that are younger than this, `CLOCK_BOOTTIME`.
    pub sweep_before_ns: u64,
    /// Age from which a socket is long-lived.
    pub threshold_ns: u64,
    /// How long a stuck state must last.
    pub stall: Ticks,
    /// How long without payload counts as idle.
    pub idle: Ticks,
    /// Rows are written for sockets with one of these [`crate::Verdicts`].
    pub emit_verdicts: u32,
    /// [`emit`] bits.
    pub emit: u32,
    /// Number of this sampling pass, never 0.
    pub pass: u16,
    /// Number of the last or current holders pass, never 0 once there was one.
    pub held_pass: u16,
    #[doc(hidden)]
    pub _pad: u32,
}

const _: () = assert!(size_of::<PassSettings>() == 48);

/// Bits of [`Setup::flags`].
pub mod setup_flags {
    /// Capture user stacks.
    pub const STACKS: u32 = 1;
    /// `bpf_task_pt_regs` and `bpf_get_current_task_btf` are there (5.15).
    pub const TASK_PT_REGS: u32 = 2;
    /// `bpf_get_socket_cookie` takes a socket in tracing programs (5.12).
    pub const SOCKET_COOKIE: u32 = 4;
    /// New call sites also get a copy of their user stack.
    pub const STACK_COPIES: u32 = 8;
    /// Opening hooks by trampoline have several programs, because this kernel may skip one.
    pub const TWINS: u32 = 16;
    /// Only the tree of one command is followed.
    pub const TREE: u32 = 32;
    /// Of processes that open fast, one stack in so many is captured.
    pub const STACK_SAMPLE: u32 = 64;
    /// `bpf_rdonly_cast` is there (6.2).
    pub const RDONLY_CAST: u32 = 128;
    /// Programs can compare and exchange (5.12).
    pub const EXCHANGE: u32 = 256;
    /// [`TWINS`] of opening hooks by tracepoint.
    pub const TRACEPOINT_TWINS: u32 = 512;
    /// What hears the end of a socket may be interrupted by what hears another end.
    pub const ENDS_INTERRUPTED: u32 = 1024;
}

/// Facts about the running kernel and choices of the user that never change while the programs are loaded: part of their code
/// ([`crate::placeholder`]), so that the verifier removes what they switch off. All are below 2^31.
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
    /// With [`setup_flags::STACK_SAMPLE`], one stack in so many.
    pub sample_one_in: u32,
    /// With [`setup_flags::STACK_SAMPLE`], of processes that open more sockets than this within a second.
    pub sample_above: u32,
    /// Type id of `struct tcp_sock`, here and below only with [`setup_flags::RDONLY_CAST`].
    pub tcp_sock_type: u32,
    /// Of `struct file`.
    pub file_type: u32,
    /// Of `struct socket`.
    pub socket_type: u32,
    /// Of `struct pt_regs`.
    pub regs_type: u32,
    /// Of `struct list_head`, which is a pointer before all else.
    pub pointer_type: u32,
    /// From one tick of the timer to the next, in nanoseconds.
    pub tick_ns: u32,
}

/// The same, of numbers that need eight bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct SetupWide {
    /// Start value of the stack hash.
    pub seed: u64,
}

/// What the kernel side remembers to tell the time without reading the processor's counter.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct Clock {
    /// `CLOCK_BOOTTIME` of tick 0 in nanoseconds, up to two ticks early. It may lie before the boot, and so wrap.
    pub tick_zero_ns: u64,
    /// How far `CLOCK_BOOTTIME` is ahead of `CLOCK_MONOTONIC`: how long the machine has slept.
    pub boot_ahead_ns: u64,
    /// Tick up to which both are believed.
    pub believed_until: u64,
}

const _: () = assert!(size_of::<Clock>() == 24);

/// What one sampling pass found on its way, summed over namespaces. User space zeroes it before a pass.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct PassTotals {
    /// Open sockets: full sockets that an application has or may still accept.
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
    /// Number after that of the socket shown last: the kernel shows a socket again whose row did not fit. User
    /// space zeroes it before each namespace.
    pub shown: u64,
    /// Sockets since a pass over records has last paused.
    pub since_pause: u64,
    /// Open sockets by verdict, indexed by [`Verdict`].
    pub verdicts: [u64; Verdict::COUNT],
}

const _: () = assert!(size_of::<PassTotals>() == 168);

/// Most records in a list that a pass goes through at a time: about a quarter of a millisecond, for which nobody else may come onto
/// that processor.
pub const MAX_LISTED: u32 = 512;

/// A list of records for a pass, see [`MAX_LISTED`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct Listed {
    /// How many there are. Set by user space.
    pub len: u64,
    /// How many rows came of them. Zeroed by user space.
    pub rows: u64,
    /// Not 0 if keys without a record are to be made 0 in the list. Set by user space.
    pub marks_gone: u64,
}

const _: () = assert!(size_of::<Listed>() == 24);

/// What was lost or could not be kept, counted since the start.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct Losses {
    /// Sockets without a record because the table was full.
    pub sockets_unattributed: u64,
    /// Opens whose stack could not be kept, and holders without a call site, because none was left.
    pub stacks: u64,
    /// Records dropped by a pass because their socket was gone: a close was not heard.
    pub stale_records: u64,
    /// Call sites whose stack copy for unwinding found no room or exceeded the rate of its process. The next open there tries
    /// again.
    pub captures: u64,
}

const _: () = assert!(size_of::<Losses>() == 32);
