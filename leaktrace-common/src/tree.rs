//! The processes that descend from a command which is run, and the sockets that only their exit closed.

use crate::SocketRow;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How many processes of a tree are kept until user space has read of their exit.
pub const MAX_TREE: u32 = 1 << 14;

/// One process of the tree, by its id. Kept after its exit until user space has read it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct TreeProcess {
    /// When it was forked, `CLOCK_BOOTTIME`.
    pub started_ns: u64,
    /// When its last thread exited; 0 while it runs.
    pub exited_ns: u64,
    /// Sockets that its exit has closed; counted on for a moment after [`TreeProcess::exited_ns`] is set.
    pub left_open: u64,
    /// Process that forked it.
    pub parent: u32,
    /// As wait(2) gives it; meaningless while it runs.
    pub exit_code: u32,
    /// Name of its main thread at its exit.
    pub comm: [u8; 16],
}

const _: () = assert!(size_of::<TreeProcess>() == 48);

/// A process of the tree has become another program. Travels with the stack copies, to be heard in their order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct TreeExec {
    /// Process.
    pub tgid: u32,
    #[doc(hidden)]
    pub _pad: u32,
}

const _: () = assert!(size_of::<TreeExec>() == 8);

/// A socket that was open until the exit of a process closed it, as it was at that moment.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct LeftRow {
    /// When, `CLOCK_BOOTTIME`.
    pub at_ns: u64,
    /// The process that exited.
    pub tgid: u32,
    #[doc(hidden)]
    pub _pad: u32,
    /// The socket.
    pub socket: SocketRow,
}

const _: () = assert!(size_of::<LeftRow>() == 168);
