//! The process tree of one command (`leaktrace run`), and the sockets that were closed only by the exit of one of its processes.

use crate::SocketRow;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How many processes of the tree are kept until user space has read their exit.
pub const MAX_TREE: u32 = 1 << 14;

/// One process of the tree, kept under its process id. It stays after its exit until user space has read it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct TreeProcess {
    /// When it was forked, `CLOCK_BOOTTIME`.
    pub started_ns: u64,
    /// When its last thread exited; 0 while it runs.
    pub exited_ns: u64,
    /// Sockets closed by its exit. Still rises for a moment after [`TreeProcess::exited_ns`] is set.
    pub left_open: u64,
    /// Process that forked it.
    pub parent: u32,
    /// Exit status as wait(2) gives it; meaningless while it runs.
    pub exit_code: u32,
    /// Name of its main thread at its exit.
    pub comm: [u8; 16],
}

const _: () = assert!(size_of::<TreeProcess>() == 48);

/// A socket that stayed open until the exit of its process closed it, as it was at that moment. Sent on a ring buffer of its own.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct LeftRow {
    /// [`crate::MessageKind::LeftRow`], raw.
    pub kind: u32,
    /// The process that exited.
    pub tgid: u32,
    /// When, `CLOCK_BOOTTIME`.
    pub at_ns: u64,
    /// The socket.
    pub socket: SocketRow,
}

const _: () = assert!(size_of::<LeftRow>() == 168);
