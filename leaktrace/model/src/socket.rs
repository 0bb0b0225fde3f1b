//! One socket: as a sample saw it, as a snapshot shows it, what identifies it, and the table of its fields.

use crate::{Comm, Direction, FieldValue, Holder, TcpState, Ticks, Verdicts, seconds};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use std::{
    borrow::Cow,
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

/// A sample of a large host has a million of them: a new field may need a higher limit here, of as few bytes as possible.
const _: () =
    assert!(size_of::<Observed>() <= 192, "Observed has become larger: raise this limit if that is on purpose");

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

/// One field of a socket, in every output that lists fields.
pub struct SocketField {
    /// Name in JSON and CSV.
    pub name: &'static str,
    /// Its value.
    pub value: for<'a> fn(&'a Socket) -> FieldValue<'a>,
    /// Its column in the live view; `None` where it has none, or one that is made by hand because it shows more than the value.
    pub column: Option<FieldColumn>,
}

/// The column of a field in the live view. Its text, alignment and order follow from the variant of the value.
#[derive(Clone, Copy, Debug)]
pub struct FieldColumn {
    /// Its heading.
    pub heading: &'static str,
    /// What it says, in a few words.
    pub about: &'static str,
    /// Fewest, good and most cells.
    pub cells: [u16; 3],
    /// Where there is little room, columns with a high rank are left out first.
    pub rank: u8,
    /// Heading of the column to its left: one that the live view makes by hand, or one of an earlier field. `None`: it is the last.
    pub after: Option<&'static str>,
}

const fn field(name: &'static str, value: for<'a> fn(&'a Socket) -> FieldValue<'a>) -> SocketField {
    SocketField { name, value, column: None }
}

impl SocketField {
    /// With a column, the last one of the table; the arguments are in the order of [`FieldColumn`].
    const fn column(self, heading: &'static str, about: &'static str, cells: [u16; 3], rank: u8) -> Self {
        Self { column: Some(FieldColumn { heading, about, cells, rank, after: None }), ..self }
    }

    /// With its column to the right of the one with this heading.
    const fn after(self, heading: &'static str) -> Self {
        let column = match self.column {
            Some(column) => Some(FieldColumn { after: Some(heading), ..column }),
            None => None,
        };
        Self { column, ..self }
    }
}

/// Every field of a socket in the order of the JSON report and of the CSV columns. A new field is one entry here; its column in the
/// live view belongs to the entry.
pub const SOCKET_FIELDS: &[SocketField] = &[
    field("cookie", |socket| socket.observed.cookie.map(NonZeroU64::get).into()),
    field("callsite", |socket| socket.callsite.into()),
    field("direction", |socket| FieldValue::Word(socket.observed.direction.name())),
    field("family", |socket| FieldValue::Word(socket.observed.family())),
    field("local", |socket| FieldValue::Address(socket.observed.local))
        .column("LOCAL", "local address and port", [15, 21, 47], 3)
        .after("FD"),
    field("remote", |socket| FieldValue::Address(socket.observed.remote))
        .column("REMOTE", "remote address and port", [15, 21, 47], 0)
        .after("LOCAL"),
    field("state", |socket| FieldValue::Word(socket.observed.state.name()))
        .column("STATE", "state of the connection", [11, 11, 12], 1)
        .after("NAME"),
    field("pid", |socket| socket.opener.map(|opener| opener.pid).into()),
    field("tid", |socket| socket.observed.tid.map(NonZeroU32::get).into()),
    field("comm", |socket| FieldValue::Text(socket.opener.as_ref().map(|opener| opener.comm.text()))),
    field("holders", |socket| FieldValue::Holders(&socket.holders)),
    field("age_s", |socket| FieldValue::Seconds(Some(socket.observed.age_s()))),
    field("age_exact", |socket| FieldValue::Flag(Some(socket.observed.age_exact))),
    field("idle_s", |socket| FieldValue::Seconds(socket.observed.idle_s()))
        .column("IDLE", "how long no payload has moved", [6, 6, 6], 4)
        .after("AGE"),
    field("rx_queue_bytes", |socket| FieldValue::bytes(socket.observed.rx_queue_bytes))
        .column("RXQ", "payload that waits unread", [5, 5, 5], 3)
        .after("IDLE"),
    field("tx_queue_bytes", |socket| FieldValue::bytes(socket.observed.tx_queue_bytes))
        .column("TXQ", "payload that waits to be acknowledged", [5, 5, 5], 5)
        .after("RXQ"),
    field("bytes_received", |socket| FieldValue::bytes(socket.observed.bytes_received))
        .column("RECV", "payload received", [5, 5, 5], 7)
        .after("CALL SITE"),
    field("bytes_read", |socket| FieldValue::bytes(socket.observed.bytes_read()))
        .column("READ", "payload read by the application", [5, 5, 5], 7)
        .after("RECV"),
    field("bytes_sent", |socket| FieldValue::bytes(socket.observed.bytes_sent))
        .column("SENT", "payload sent", [5, 5, 5], 7)
        .after("READ"),
    field("bytes_acked", |socket| FieldValue::bytes(socket.observed.bytes_acked)),
    field("unread_s", |socket| FieldValue::Seconds(socket.observed.unread_s())),
    field("unacked_s", |socket| FieldValue::Seconds(socket.observed.unacked_s())),
    field("state_s", |socket| FieldValue::Seconds(socket.observed.state_s())),
    field("keepalive", |socket| FieldValue::Flag(Some(socket.observed.keepalive))),
    field("user_timeout_ms", |socket| socket.observed.user_timeout_ms.map(NonZeroU32::get).into()),
    field("waiters", |socket| FieldValue::Flag(socket.observed.waiters)),
    field("memory_bytes", |socket| FieldValue::bytes(socket.observed.memory_bytes))
        .column("MEM", "kernel memory", [5, 5, 5], 8)
        .after("SENT"),
    field("netns", |socket| socket.observed.netns.map(NonZeroU32::get).into()),
    field("container", |socket| FieldValue::Text(socket.container.as_deref().map(Cow::Borrowed))),
    field("verdicts", |socket| FieldValue::Verdicts(socket.observed.verdicts)),
];

impl Serialize for Socket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(Some(SOCKET_FIELDS.len()))?;
        for field in SOCKET_FIELDS {
            fields.serialize_entry(field.name, &(field.value)(self))?;
        }
        fields.end()
    }
}
