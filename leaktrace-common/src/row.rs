//! Rows that the passes write for user space. The first word of each is its kind.

use crate::{Ticks, conditions::saturating_sub};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First word of every row.
pub mod row_kind {
    /// [`crate::SocketRow`]
    pub const SOCKET: u32 = 1;
    /// [`crate::HolderRow`]
    pub const HOLDER: u32 = 2;
    /// [`crate::ProcessRow`]
    pub const PROCESS: u32 = 3;
    /// [`crate::PauseRow`]
    pub const PAUSE: u32 = 4;
}

/// Bits of [`SocketRow::flags`].
pub mod row_flags {
    /// The opening was not seen: the age is a lower bound.
    pub const ADOPTED: u32 = 1;
    /// SO_KEEPALIVE is set.
    pub const KEEPALIVE: u32 = 2;
    /// A thread or a poller waits on the socket. Valid with [`WAITERS_KNOWN`].
    pub const WAITERS: u32 = 4;
    /// It is in a listener's accept queue: no application has accepted it.
    pub const IN_ACCEPT_QUEUE: u32 = 8;
    /// The application has closed it, TCP has not finished.
    pub const ORPHAN: u32 = 16;
    /// The handshake was complete at some time.
    pub const WAS_CONNECTED: u32 = 32;
    /// It has no record because the table is full: its history is unknown.
    pub const UNATTRIBUTED: u32 = 64;
    /// Found by the holders pass, not by the sampling pass.
    pub const FROM_HOLDER: u32 = 128;
    /// [`WAITERS`] was read.
    pub const WAITERS_KNOWN: u32 = 256;
}

/// One socket at one moment: fields of the socket joined with its record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct SocketRow {
    /// [`row_kind::SOCKET`]
    pub kind: u32,
    /// [`row_flags`]
    pub flags: u32,
    /// Kernel address of the socket: its identity within one boot. Never shown.
    pub sk: u64,
    /// Socket cookie; 0 if the kernel has not made one (before 5.12 only other programs can request it).
    pub cookie: u64,
    /// How long it has been open; a lower bound with [`row_flags::ADOPTED`].
    pub age_ns: u64,
    /// Payload received, without a FIN.
    pub bytes_received: u64,
    /// Payload sent, with retransmissions (`tcp_sock.bytes_sent`).
    pub bytes_sent: u64,
    /// Sequence space acknowledged (`tcp_sock.bytes_acked`; one more for the SYN of an active open).
    pub bytes_acked: u64,
    /// Local address; IPv4 in the first four bytes.
    pub local: [u8; 16],
    /// Remote address; IPv4 in the first four bytes.
    pub remote: [u8; 16],
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Payload in the receive queue, without a FIN.
    pub rx_queue_bytes: u32,
    /// Payload in the send queue, without SYN and FIN.
    pub tx_queue_bytes: u32,
    /// Kernel memory charged to the socket: receive, send, and reserved ahead.
    pub memory_bytes: u32,
    /// Index of the call site, or [`crate::UNKNOWN_CALLSITE`].
    pub callsite: u32,
    /// Thread that opened it; 0 if unknown.
    pub tid: u32,
    /// A process that held it at the last holders pass; 0 for none.
    pub holder_tgid: u32,
    /// The descriptor in that process.
    pub holder_fd: u32,
    /// TCP_USER_TIMEOUT in milliseconds; 0 for none.
    pub user_timeout_ms: u32,
    /// How long the socket has been in this state.
    pub in_state: Ticks,
    /// How long payload has waited while nothing was read; meaningless if the receive queue is empty.
    pub unread: Ticks,
    /// How long bytes have waited while nothing was acknowledged; meaningless if the send queue is empty.
    pub unacked: Ticks,
    /// How long no payload has moved in either direction.
    pub idle: Ticks,
    /// [`crate::Verdicts`] that the kernel side found.
    pub verdicts: u32,
    /// Address family: 2 or 10.
    pub family: u16,
    /// Local port, host order.
    pub local_port: u16,
    /// Remote port, host order.
    pub remote_port: u16,
    /// [`crate::TcpState`], raw.
    pub state: u8,
    /// [`crate::Direction`], raw.
    pub direction: u8,
}

const _: () = assert!(size_of::<SocketRow>() == 152);

impl SocketRow {
    /// Payload that the application has read: received minus waiting.
    #[inline(always)]
    pub fn bytes_read(&self) -> u64 {
        saturating_sub(self.bytes_received, self.rx_queue_bytes.into())
    }
}

/// One descriptor that refers to a flagged TCP socket.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct HolderRow {
    /// [`row_kind::HOLDER`]
    pub kind: u32,
    /// Process.
    pub tgid: u32,
    /// Kernel address of the socket.
    pub sk: u64,
    /// Descriptor.
    pub fd: u32,
    #[doc(hidden)]
    pub _pad: u32,
}

const _: () = assert!(size_of::<HolderRow>() == 24);

/// One process that holds TCP sockets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct ProcessRow {
    /// [`row_kind::PROCESS`]
    pub kind: u32,
    /// Process.
    pub tgid: u32,
    /// Open descriptors of any kind.
    pub fds: u32,
    /// Descriptors that are TCP connections (not listeners).
    pub sockets: u32,
    /// Kernel memory charged to them.
    pub memory_bytes: u64,
    /// Payload that waits in their receive queues.
    pub rx_queue_bytes: u64,
    /// Name of the process.
    pub comm: [u8; 16],
}

const _: () = assert!(size_of::<ProcessRow>() == 48);

/// What the holders pass keeps from one descriptor to the next. User space zeroes it before a pass.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct HoldersProgress {
    /// The process whose descriptors are being counted.
    pub current: ProcessRow,
    /// The process before it, whose row may have to be written again.
    pub previous: ProcessRow,
    /// Number of the last descriptor plus 1. The kernel shows a descriptor a second time if its rows did not fit.
    pub shown: u64,
    /// Value of `shown` when `previous` was set.
    pub flushed: u64,
    /// Descriptors seen in this pass.
    pub descriptors: u64,
    /// Sockets adopted in this pass.
    pub adopted: u64,
}

const _: () = assert!(size_of::<HoldersProgress>() == 128);

/// An empty row. With it a pass can end a read early, so that other threads can run before the next read.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct PauseRow {
    /// [`row_kind::PAUSE`]
    pub kind: u32,
    #[doc(hidden)]
    pub _pad: u32,
}
