//! The cells of each kind of row: which there are, what each means, and how they become rows of the model.
//!
//! A span until now is written as the moment when it began: the age of an idle socket grows with every sample, the time of its opening stays.
//! The order of cells and their meaning belong to the format, not to the model: neither changes within a version.
//!
//! - An age is written as the opening time, in nanoseconds of `CLOCK_BOOTTIME`. Other spans begin at a tick of 2^24 ns; ticks have 32 bits
//!   and wrap. The cell has 1 + that tick, or 0 for a span of 0.
//! - An address is two cells, the upper half of its 16 bytes first. IPv4 is in the first four bytes. One more cell has the family of both
//!   addresses: 2 for IPv4, 10 for IPv6. With 10, a mapped address reads as IPv4; if only one of the two is IPv4, it is written mapped.
//! - States are the kernel's numbers. Directions are 0 unknown, 1 connect, 2 accept. Verdicts are bits in the order of their table.
//! - Names of threads and processes are 16 bytes in two cells, the upper half first.
//! - 0 means "not known" or "none", unless another meaning is given.
//!
//! Any cells give a row: a number that is too large for its field loses its upper bits, and one without a meaning reads as unknown.

use leaktrace_model::{
    Comm, Direction, HolderProcess, LIFETIME_CLASSES, Moment, Observed, Oldest, Pass, SeenBy, SiteCounters, SiteKey,
    SocketHolder, Sums, TcpState, Ticks, Verdict, VerdictCounts, Verdicts,
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::{NonZeroU32, NonZeroU64},
};

/// Classes of lifetimes that a call site has cells for.
const LIFETIME_CELLS: usize = 44;
const _: () = assert!(LIFETIME_CELLS == LIFETIME_CLASSES);

/// Cells of a socket; the first is the key.
pub(crate) const SOCKET_CELLS: usize = 29;
/// Cells of a call site; the first is the key.
pub(crate) const CALLSITE_CELLS: usize = 11 + LIFETIME_CELLS + 7 + Verdict::COUNT;
/// Cells of a holder; all are the key.
pub(crate) const HOLDER_CELLS: usize = 2;
/// Cells of a process; the first is the key.
pub(crate) const PROCESS_CELLS: usize = 7;

/// Bits of a socket's second cell.
mod flags {
    /// Its opening was not seen: the age is a lower bound.
    pub(super) const ADOPTED: u64 = 1;
    /// SO_KEEPALIVE is set.
    pub(super) const KEEPALIVE: u64 = 2;
    /// A thread or a poller waits on it. Has a meaning only with [`WAITERS_KNOWN`].
    pub(super) const WAITERS: u64 = 4;
    /// It is in a listener's accept queue.
    pub(super) const IN_ACCEPT_QUEUE: u64 = 8;
    /// The application has closed it, TCP has not finished.
    pub(super) const ORPHAN: u64 = 16;
    /// The handshake was completed at some time.
    pub(super) const WAS_CONNECTED: u64 = 32;
    /// It has no record on the kernel side.
    pub(super) const UNATTRIBUTED: u64 = 64;
    /// Only the holders pass saw it.
    pub(super) const FROM_HOLDER: u64 = 128;
    /// Whether anything waits on it was determined.
    pub(super) const WAITERS_KNOWN: u64 = 256;
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// The time of a sample. Spans end there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// What the passes count as now, in nanoseconds.
    ns: u64,
    ticks: u32,
    pass: u32,
    /// When the sample was taken, in nanoseconds: a little later.
    at_ns: u64,
}

impl Now {
    /// The time of a sample that was taken `at` this moment by this pass.
    pub(crate) fn of(at: &Moment, pass: &Pass) -> Self {
        let ticks = (pass.now_ns >> Ticks::SHIFT) as u32;
        Self { ns: pass.now_ns, ticks, pass: pass.number.into(), at_ns: at.boot_ns }
    }

    /// When a span began. A span of 0 gives 0, as such a span often begins again with every sample.
    fn since(self, span: Ticks) -> u64 {
        if span.0 == 0 { 0 } else { 1 + u64::from(self.ticks.wrapping_sub(span.0)) }
    }

    fn span(self, since: u64) -> Ticks {
        Ticks(if since == 0 { 0 } else { self.ticks.wrapping_sub((since - 1) as u32) })
    }

    /// The cell for the pass that made a sum: 0 for the pass of this sample.
    fn pass(self, pass: u32) -> u64 {
        if pass == self.pass { 0 } else { 1 + u64::from(pass) }
    }

    fn pass_number(self, cell: u64) -> u32 {
        if cell == 0 { self.pass } else { (cell - 1) as u32 }
    }
}

fn halves(bytes: [u8; 16]) -> [u64; 2] {
    let whole = u128::from_be_bytes(bytes);
    [(whole >> 64) as u64, whole as u64]
}

fn whole([high, low]: [u64; 2]) -> [u8; 16] {
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

fn address_cells(family: u16, ip: IpAddr) -> [u64; 2] {
    match ip {
        IpAddr::V4(ip) if family == AF_INET => [u64::from(ip.to_bits()) << 32, 0],
        IpAddr::V4(ip) => halves(ip.to_ipv6_mapped().octets()),
        IpAddr::V6(ip) => halves(ip.octets()),
    }
}

fn ip(family: u16, cells: [u64; 2]) -> IpAddr {
    if family == AF_INET6 {
        return IpAddr::V6(Ipv6Addr::from(whole(cells))).to_canonical();
    }
    IpAddr::V4(Ipv4Addr::from_bits((cells[0] >> 32) as u32))
}

fn flag_bits(socket: &Observed) -> u64 {
    let bits = [
        (!socket.age_exact, flags::ADOPTED),
        (socket.keepalive, flags::KEEPALIVE),
        (socket.waiters == Some(true), flags::WAITERS),
        (socket.in_accept_queue, flags::IN_ACCEPT_QUEUE),
        (socket.orphan, flags::ORPHAN),
        (socket.was_connected, flags::WAS_CONNECTED),
        (!socket.attributed, flags::UNATTRIBUTED),
        (socket.seen_by == SeenBy::Holders, flags::FROM_HOLDER),
        (socket.waiters.is_some(), flags::WAITERS_KNOWN),
    ];
    bits.into_iter().filter(|(is_set, _)| *is_set).fold(0, |all, (_, bit)| all | bit)
}

/// The cells of a socket.
pub(crate) fn of_socket(socket: &Observed, now: Now) -> [u64; SOCKET_CELLS] {
    let is_ipv4 = socket.local.is_ipv4() && socket.remote.is_ipv4();
    let family = if is_ipv4 { AF_INET } else { AF_INET6 };
    let [local, remote] = [socket.local, socket.remote].map(|address| address_cells(family, address.ip()));
    let (holder, descriptor) = socket.held_by.unwrap_or((0, 0));
    [
        socket.sk,
        flag_bits(socket),
        socket.cookie.map_or(0, NonZeroU64::get),
        now.ns.wrapping_sub(socket.age_ns),
        socket.bytes_received,
        socket.bytes_sent,
        socket.bytes_acked,
        local[0],
        local[1],
        remote[0],
        remote[1],
        socket.netns.map_or(0, NonZeroU32::get).into(),
        socket.rx_queue_bytes.into(),
        socket.tx_queue_bytes.into(),
        socket.memory_bytes.into(),
        socket.callsite.into(),
        socket.tid.map_or(0, NonZeroU32::get).into(),
        holder.into(),
        descriptor.into(),
        socket.user_timeout_ms.map_or(0, NonZeroU32::get).into(),
        now.since(socket.in_state),
        socket.unread.map_or(0, |span| now.since(span)),
        socket.unacked.map_or(0, |span| now.since(span)),
        now.since(socket.idle),
        socket.verdicts.0.into(),
        family.into(),
        socket.local.port().into(),
        socket.remote.port().into(),
        u64::from(socket.state.raw()) << 8 | u64::from(socket.direction.raw()),
    ]
}

/// The socket of these cells.
pub(crate) fn to_socket(cells: &[u64; SOCKET_CELLS], now: Now) -> Observed {
    let &[
        sk,
        flags,
        cookie,
        opened,
        bytes_received,
        bytes_sent,
        bytes_acked,
        local_high,
        local_low,
        remote_high,
        remote_low,
        netns,
        rx_queue_bytes,
        tx_queue_bytes,
        memory_bytes,
        callsite,
        tid,
        holder,
        descriptor,
        user_timeout_ms,
        in_state,
        unread,
        unacked,
        idle,
        verdicts,
        family,
        local_port,
        remote_port,
        state,
    ] = cells;
    let has = |flag: u64| flags & flag != 0;
    let family = family as u16;
    let (rx_queue_bytes, tx_queue_bytes) = (rx_queue_bytes as u32, tx_queue_bytes as u32);
    Observed {
        sk,
        cookie: NonZeroU64::new(cookie),
        local: SocketAddr::new(ip(family, [local_high, local_low]), local_port as u16),
        remote: SocketAddr::new(ip(family, [remote_high, remote_low]), remote_port as u16),
        netns: NonZeroU32::new(netns as u32),
        state: TcpState::from_raw((state >> 8) as u8),
        direction: Direction::from_raw(state as u8),
        seen_by: if has(flags::FROM_HOLDER) { SeenBy::Holders } else { SeenBy::Sampling },
        callsite: callsite as u32,
        tid: NonZeroU32::new(tid as u32),
        held_by: NonZeroU32::new(holder as u32).map(|holder| (holder.get(), descriptor as u32)),
        age_ns: now.ns.wrapping_sub(opened),
        age_exact: !has(flags::ADOPTED),
        attributed: !has(flags::UNATTRIBUTED),
        in_state: now.span(in_state),
        idle: now.span(idle),
        // The cell has no meaning when the queue is empty.
        unread: (rx_queue_bytes > 0).then(|| now.span(unread)),
        unacked: (tx_queue_bytes > 0).then(|| now.span(unacked)),
        bytes_received,
        bytes_sent,
        bytes_acked,
        rx_queue_bytes,
        tx_queue_bytes,
        memory_bytes: memory_bytes as u32,
        user_timeout_ms: NonZeroU32::new(user_timeout_ms as u32),
        keepalive: has(flags::KEEPALIVE),
        waiters: has(flags::WAITERS_KNOWN).then(|| has(flags::WAITERS)),
        in_accept_queue: has(flags::IN_ACCEPT_QUEUE),
        orphan: has(flags::ORPHAN),
        was_connected: has(flags::WAS_CONNECTED),
        verdicts: Verdicts(verdicts as u32),
    }
}

/// The cells of a call site. Its oldest socket has two: 1 if it was adopted, and its opening time.
pub(crate) fn of_callsite(index: u32, site: &SiteCounters, now: Now) -> [u64; CALLSITE_CELLS] {
    let comm = halves(site.comm.0);
    let sums = &site.sums;
    let mut cells = [0; CALLSITE_CELLS];
    cells[..11].copy_from_slice(&[
        index.into(),
        site.key.stack_hash,
        site.key.pid.into(),
        site.key.direction.raw().into(),
        // Unused, was when the call site was first seen.
        0,
        site.opened,
        site.closed,
        site.longest_ns,
        // Unused, was whether its stack must be copied again.
        0,
        comm[0],
        comm[1],
    ]);
    cells[11..11 + LIFETIME_CELLS].copy_from_slice(&site.lifetimes);
    let rest = &mut cells[11 + LIFETIME_CELLS..];
    rest[..7].copy_from_slice(&[
        now.pass(site.pass),
        sums.open,
        sums.flagged,
        sums.oldest.is_some_and(|oldest| !oldest.exact).into(),
        sums.oldest.map_or(0, |oldest| now.at_ns.saturating_sub(oldest.age_ns)),
        sums.rx_queue_bytes,
        sums.memory_bytes,
    ]);
    rest[7..].copy_from_slice(sums.verdicts.as_array());
    cells
}

/// The call site of these cells, and its index.
pub(crate) fn to_callsite(cells: &[u64; CALLSITE_CELLS], now: Now) -> (u32, SiteCounters) {
    let [index, stack_hash, pid, direction, _first_ns, opened, closed, longest_ns, _copy_wanted, high, low, rest @ ..] =
        *cells;
    let mut lifetimes = [0; LIFETIME_CELLS];
    lifetimes.copy_from_slice(&rest[..LIFETIME_CELLS]);
    let rest = &rest[LIFETIME_CELLS..];
    let [open, flagged, oldest_adopted] = [rest[1], rest[2], rest[3]].map(|cell| cell as u32);
    let oldest = Oldest { age_ns: now.at_ns.saturating_sub(rest[4]), exact: oldest_adopted == 0 };
    // The last cells, one for each verdict in the order of their table: a new verdict adds one at the end.
    let mut verdicts = [0; Verdict::COUNT];
    verdicts.iter_mut().zip(&rest[7..]).for_each(|(count, cell)| *count = u64::from(*cell as u32));
    let verdicts = VerdictCounts::new(verdicts);
    let site = SiteCounters {
        key: SiteKey { stack_hash, pid: pid as u32, direction: Direction::from_raw(direction as u8) },
        comm: Comm(whole([high, low])),
        opened,
        closed,
        longest_ns,
        lifetimes,
        pass: now.pass_number(rest[0]),
        sums: Sums {
            open: open.into(),
            flagged: flagged.into(),
            rx_queue_bytes: rest[5],
            memory_bytes: rest[6],
            oldest: (open > 0).then_some(oldest),
            verdicts,
        },
    };
    (index as u32, site)
}

/// The cells of a holder: the socket; the process (upper half) and its descriptor.
pub(crate) fn of_holder(holder: &SocketHolder) -> [u64; HOLDER_CELLS] {
    [holder.sk, u64::from(holder.pid) << 32 | u64::from(holder.fd)]
}

/// The holder of these cells.
pub(crate) fn to_holder(cells: &[u64; HOLDER_CELLS]) -> SocketHolder {
    let [sk, holder] = *cells;
    SocketHolder { sk, pid: (holder >> 32) as u32, fd: holder as u32 }
}

/// The cells of a process.
pub(crate) fn of_process(process: &HolderProcess) -> [u64; PROCESS_CELLS] {
    let HolderProcess { pid, comm, fds, sockets, memory_bytes, rx_queue_bytes } = *process;
    let comm = halves(comm.0);
    [pid.into(), fds.into(), sockets.into(), memory_bytes, rx_queue_bytes, comm[0], comm[1]]
}

/// The process of these cells.
pub(crate) fn to_process(cells: &[u64; PROCESS_CELLS]) -> HolderProcess {
    let [pid, fds, sockets, memory_bytes, rx_queue_bytes, high, low] = *cells;
    HolderProcess {
        pid: pid as u32,
        comm: Comm(whole([high, low])),
        fds: fds as u32,
        sockets: sockets as u32,
        memory_bytes,
        rx_queue_bytes,
    }
}

#[cfg(test)]
mod tests;
