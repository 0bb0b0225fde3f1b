//! One socket: as a sample saw it, as a snapshot shows it, and what identifies it.

use crate::{Comm, Direction, Holder, TcpState, Ticks, Verdicts, seconds};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::{NonZeroU32, NonZeroU64},
};

/// Which pass saw a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SeenBy {
    /// The sampling pass: TCP still has it in its tables.
    #[default]
    Sampling,
    /// The holders pass only: TCP has finished with it, a process still holds it.
    Holders,
}

/// One socket at one moment, as a sample saw it. Plain numbers without text, because a host can have a million of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The kernel's address of the socket: its identity within one boot. Only samples use it; it is never shown.
    pub sk: u64,
    /// Cookie, as `ss -e` prints it; `None` if the kernel has made none (before 5.12 it makes them on demand).
    pub cookie: Option<NonZeroU64>,
    /// Local address and port; an IPv4-mapped address is IPv4.
    pub local: SocketAddr,
    /// The peer's address and port; an IPv4-mapped address is IPv4.
    pub remote: SocketAddr,
    /// Inode of the network namespace.
    pub netns: Option<NonZeroU32>,
    /// State of the connection.
    pub state: TcpState,
    /// Which end opened it.
    pub direction: Direction,
    /// Which pass saw it.
    pub seen_by: SeenBy,
    /// Index of its call site in the sample; 0 where unknown.
    pub callsite: u32,
    /// Thread that opened it.
    pub tid: Option<NonZeroU32>,
    /// A process that held it at the last holders pass, and its descriptor there.
    pub held_by: Option<(u32, u32)>,
    /// How long it has been open; a lower bound unless [`Self::age_exact`].
    pub age_ns: u64,
    /// Whether its opening was seen.
    pub age_exact: bool,
    /// Whether the kernel side has a record of it. Without one its spans are unknown.
    pub attributed: bool,
    /// How long it has been in its state.
    pub in_state: Ticks,
    /// How long no payload has moved either way.
    pub idle: Ticks,
    /// How long payload has waited with nothing read; `None` when none waits.
    pub unread: Option<Ticks>,
    /// How long bytes have waited with nothing acknowledged; `None` when none wait.
    pub unacked: Option<Ticks>,
    /// Payload received, in bytes.
    pub bytes_received: u64,
    /// Payload sent, retransmissions included, in bytes.
    pub bytes_sent: u64,
    /// Sequence space acknowledged by the peer, in bytes.
    pub bytes_acked: u64,
    /// Payload in the receive queue, in bytes.
    pub rx_queue_bytes: u32,
    /// Payload in the send queue, in bytes.
    pub tx_queue_bytes: u32,
    /// Kernel memory charged, in bytes.
    pub memory_bytes: u32,
    /// TCP_USER_TIMEOUT in milliseconds; `None` when not set.
    pub user_timeout_ms: Option<NonZeroU32>,
    /// Whether SO_KEEPALIVE is set.
    pub keepalive: bool,
    /// Whether a thread or a poller waits on it; `None` where that was not determined.
    pub waiters: Option<bool>,
    /// Whether it is still in a listener's accept queue.
    pub in_accept_queue: bool,
    /// Whether the application has closed it while TCP has not finished.
    pub orphan: bool,
    /// Whether the handshake was completed at some time.
    pub was_connected: bool,
    /// The verdicts that hold.
    pub verdicts: Verdicts,
}

/// A sample of a large host has a million of them.
const _: () = assert!(size_of::<Observed>() <= 192);

impl Default for Observed {
    fn default() -> Self {
        let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        Self {
            sk: 0,
            cookie: None,
            local: nowhere,
            remote: nowhere,
            netns: None,
            state: TcpState::Unknown(0),
            direction: Direction::Unknown,
            seen_by: SeenBy::Sampling,
            callsite: 0,
            tid: None,
            held_by: None,
            age_ns: 0,
            age_exact: true,
            attributed: true,
            in_state: Ticks(0),
            idle: Ticks(0),
            unread: None,
            unacked: None,
            bytes_received: 0,
            bytes_sent: 0,
            bytes_acked: 0,
            rx_queue_bytes: 0,
            tx_queue_bytes: 0,
            memory_bytes: 0,
            user_timeout_ms: None,
            keepalive: false,
            waiters: None,
            in_accept_queue: false,
            orphan: false,
            was_connected: false,
            verdicts: Verdicts::NONE,
        }
    }
}

impl Observed {
    /// Payload that the application has read, in bytes: what came, less what still waits.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_received.saturating_sub(self.rx_queue_bytes.into())
    }

    /// Age in seconds.
    pub fn age_s(&self) -> f64 {
        seconds(self.age_ns)
    }

    /// Seconds without payload either way; `None` where the history is unknown.
    pub fn idle_s(&self) -> Option<f64> {
        self.attributed.then(|| self.idle.seconds())
    }

    /// Seconds for which payload has waited with nothing read; `None` when none waits or the history is unknown.
    pub fn unread_s(&self) -> Option<f64> {
        self.unread.filter(|_| self.attributed).map(Ticks::seconds)
    }

    /// Seconds for which bytes have waited with nothing acknowledged; `None` when none wait or the history is unknown.
    pub fn unacked_s(&self) -> Option<f64> {
        self.unacked.filter(|_| self.attributed).map(Ticks::seconds)
    }

    /// Seconds in the current state; `None` where the history is unknown.
    pub fn state_s(&self) -> Option<f64> {
        self.attributed.then(|| self.in_state.seconds())
    }

    /// `ipv4` or `ipv6`.
    pub fn family(&self) -> &'static str {
        if self.remote.is_ipv4() { "ipv4" } else { "ipv6" }
    }

    /// What closing it needs; `None` without a cookie, because its addresses may belong to another socket by then.
    pub fn id(&self) -> Option<SocketId> {
        Some(SocketId { cookie: self.cookie?, netns: self.netns, local: self.local, remote: self.remote })
    }
}

/// What identifies one socket for good: the kernel gives a cookie only once within a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketId {
    /// Its cookie.
    pub cookie: NonZeroU64,
    /// Inode of its network namespace; `None` for the one that leaktrace is in.
    pub netns: Option<NonZeroU32>,
    /// Local address and port.
    pub local: SocketAddr,
    /// The peer's address and port.
    pub remote: SocketAddr,
}

/// The process that opened a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Opener {
    /// Process id.
    pub pid: u32,
    /// Name of the thread that opened the first socket of the call site.
    pub comm: Comm,
}

/// One socket as a snapshot shows it: what was observed, and the processes involved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    /// The socket itself.
    pub observed: Observed,
    /// [`crate::Callsite::id`]
    pub callsite: Option<u64>,
    /// Who opened it; `None` for a socket older than the tracer.
    pub opener: Option<Opener>,
    /// Who holds it now.
    pub holders: Vec<Holder>,
    /// Container of the process that holds it.
    pub container: Option<String>,
}
