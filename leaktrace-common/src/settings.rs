//! What user space tells the passes, and what the kernel side counts for it.

use crate::Ticks;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Which rows a pass writes besides those with a verdict in [`PassSettings::emit_verdicts`].
pub mod emit {
    /// Every open socket.
    pub const ALL: u32 = 1;
}

/// Written by user space before each pass, read by the iterators for each socket.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct PassSettings {
    /// `CLOCK_BOOTTIME` that the pass counts as now, in nanoseconds.
    pub now_ns: u64,
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

const _: () = assert!(size_of::<PassSettings>() == 40);

/// What was lost or could not be kept, counted since the start.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct Losses {
    /// Sockets without a record because the table was full.
    pub sockets_unattributed: u64,
    /// Opens whose stack could not be kept (no call site left, or the stack was unreadable).
    pub stacks: u64,
    /// Records dropped by a pass because their socket was gone: a close was not heard.
    pub stale_records: u64,
    /// Stack copies for unwinding that found no room or exceeded a process's rate.
    pub captures: u64,
}

const _: () = assert!(size_of::<Losses>() == 32);
