//! The translation between the kernel side's rows and the model, in both directions. No other file translates them.
//!
//! Also finds the verdicts of a recorded socket, with the kernel side's rules.

use leaktrace_common::{
    CallsiteCounters, HolderRow, LIFETIME_BUCKETS, LeftRow, Losses, PassSettings, PassSums, PassTotals, ProcessRow,
    SocketRow, StackCapture, StackEntry, capture, emit, row_flags, row_kind, span_from_ns, ticks_to_ns,
};
use leaktrace_model::{
    ChainEnd, Comm, Direction, FrameChain, HolderProcess, HostTotals, LIFETIME_CLASSES, LeftSocket, Limits, Lost,
    MAX_FRAMES, Observed, Oldest, Pass, SeenBy, Shown, SiteCounters, SiteKey, SocketHolder, StackCopy, Sums, TcpState,
    Ticks, TreeProcess, VerdictCounts, Verdicts,
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

// Constants that the model repeats have the same values at the kernel boundary.
const _: () = assert!(LIFETIME_CLASSES == LIFETIME_BUCKETS);
const _: () = assert!(MAX_FRAMES == leaktrace_common::MAX_FRAMES);
const _: () = assert!(Ticks(1).ns() == ticks_to_ns(1));

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// A duration in nanoseconds; `u64::MAX` if it does not fit.
pub(crate) fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn address(family: u16, bytes: [u8; 16], port: u16) -> SocketAddr {
    let ip = if family == AF_INET6 {
        // A mapped address belongs to an IPv4 connection on an IPv6 socket, so it becomes an IPv4 address.
        IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
    } else {
        let [a, b, c, d, ..] = bytes;
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    SocketAddr::new(ip, port)
}

fn address_bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            bytes
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// A socket as the model has it.
pub(crate) fn observed(row: &SocketRow) -> Observed {
    let has = |flag: u32| row.flags & flag != 0;
    let waiting = |bytes: u32, span: u32| (bytes > 0).then_some(Ticks(span));
    Observed {
        sk: row.sk,
        cookie: NonZeroU64::new(row.cookie),
        local: address(row.family, row.local, row.local_port),
        remote: address(row.family, row.remote, row.remote_port),
        netns: NonZeroU32::new(row.netns),
        state: TcpState::from_raw(row.state),
        direction: Direction::from_raw(row.direction),
        seen_by: if has(row_flags::FROM_HOLDER) { SeenBy::Holders } else { SeenBy::Sampling },
        callsite: row.callsite,
        tid: NonZeroU32::new(row.tid),
        held_by: (row.holder_tgid != 0).then_some((row.holder_tgid, row.holder_fd)),
        age_ns: row.age_ns,
        age_exact: !has(row_flags::ADOPTED),
        attributed: !has(row_flags::UNATTRIBUTED),
        in_state: Ticks(row.in_state),
        idle: Ticks(row.idle),
        unread: waiting(row.rx_queue_bytes, row.unread),
        unacked: waiting(row.tx_queue_bytes, row.unacked),
        bytes_received: row.bytes_received,
        bytes_sent: row.bytes_sent,
        bytes_acked: row.bytes_acked,
        rx_queue_bytes: row.rx_queue_bytes,
        tx_queue_bytes: row.tx_queue_bytes,
        memory_bytes: row.memory_bytes,
        user_timeout_ms: NonZeroU32::new(row.user_timeout_ms),
        keepalive: has(row_flags::KEEPALIVE),
        waiters: has(row_flags::WAITERS_KNOWN).then(|| has(row_flags::WAITERS)),
        in_accept_queue: has(row_flags::IN_ACCEPT_QUEUE),
        orphan: has(row_flags::ORPHAN),
        was_connected: has(row_flags::WAS_CONNECTED),
        verdicts: Verdicts(row.verdicts),
    }
}

/// A socket as the kernel side would have written it.
pub(crate) fn row(socket: &Observed) -> SocketRow {
    let number = |number: Option<NonZeroU32>| number.map_or(0, NonZeroU32::get);
    let span = |span: Option<Ticks>| span.map_or(0, |ticks| ticks.0);
    let (holder_tgid, holder_fd) = socket.held_by.unwrap_or_default();
    let flags = [
        (row_flags::ADOPTED, !socket.age_exact),
        (row_flags::KEEPALIVE, socket.keepalive),
        (row_flags::WAITERS, socket.waiters == Some(true)),
        (row_flags::IN_ACCEPT_QUEUE, socket.in_accept_queue),
        (row_flags::ORPHAN, socket.orphan),
        (row_flags::WAS_CONNECTED, socket.was_connected),
        (row_flags::UNATTRIBUTED, !socket.attributed),
        (row_flags::FROM_HOLDER, socket.seen_by == SeenBy::Holders),
        (row_flags::WAITERS_KNOWN, socket.waiters.is_some()),
    ];
    SocketRow {
        kind: row_kind::SOCKET,
        flags: flags.iter().filter(|(_, holds)| *holds).fold(0, |flags, (flag, _)| flags | flag),
        sk: socket.sk,
        cookie: socket.cookie.map_or(0, NonZeroU64::get),
        age_ns: socket.age_ns,
        bytes_received: socket.bytes_received,
        bytes_sent: socket.bytes_sent,
        bytes_acked: socket.bytes_acked,
        local: address_bytes(socket.local.ip()),
        remote: address_bytes(socket.remote.ip()),
        netns: number(socket.netns),
        rx_queue_bytes: socket.rx_queue_bytes,
        tx_queue_bytes: socket.tx_queue_bytes,
        memory_bytes: socket.memory_bytes,
        callsite: socket.callsite,
        tid: number(socket.tid),
        holder_tgid,
        holder_fd,
        user_timeout_ms: number(socket.user_timeout_ms),
        in_state: socket.in_state.0,
        unread: span(socket.unread),
        unacked: span(socket.unacked),
        idle: socket.idle.0,
        verdicts: socket.verdicts.0,
        family: if socket.remote.is_ipv4() { AF_INET } else { AF_INET6 },
        local_port: socket.local.port(),
        remote_port: socket.remote.port(),
        state: socket.state.raw(),
        direction: socket.direction.raw(),
    }
}

/// Which verdicts hold for a socket under these thresholds: the same rules that the kernel side runs.
pub fn judge(socket: &Observed, limits: &Limits) -> Verdicts {
    Verdicts::of(&row(socket), &settings(limits))
}

/// The thresholds as the kernel side takes them.
pub(crate) fn settings(limits: &Limits) -> PassSettings {
    PassSettings {
        threshold_ns: nanoseconds(limits.threshold),
        stall: span_from_ns(nanoseconds(limits.stall)),
        idle: span_from_ns(nanoseconds(limits.idle)),
        ..PassSettings::default()
    }
}

/// The settings of a pass, as the model has them.
pub(crate) fn pass(settings: &PassSettings) -> Pass {
    let all = settings.emit & emit::ALL != 0;
    Pass {
        number: settings.pass,
        held_pass: settings.held_pass,
        now_ns: settings.now_ns,
        limits: Limits {
            threshold: Duration::from_nanos(settings.threshold_ns),
            stall: Ticks(settings.stall).duration(),
            idle: Ticks(settings.idle).duration(),
        },
        shown: if all { Shown::All } else { Shown::With(Verdicts(settings.emit_verdicts)) },
    }
}

/// Sums over the host, as the model has them.
pub(crate) fn totals(totals: &PassTotals) -> HostTotals {
    HostTotals {
        sums: Sums {
            open: totals.open,
            flagged: totals.flagged,
            rx_queue_bytes: totals.rx_queue_bytes,
            memory_bytes: totals.memory_bytes,
            oldest: None,
            verdicts: VerdictCounts::new(totals.verdicts),
        },
        in_accept_queue: totals.in_accept_queue,
        unattributed: totals.unattributed,
        adopted: totals.adopted,
        orphans: totals.orphans,
        orphan_memory_bytes: totals.orphan_memory_bytes,
    }
}

/// What was lost, as the model has it; `damaged` reads could not be decoded.
pub(crate) fn lost(losses: &Losses, damaged: u64) -> Lost {
    Lost {
        sockets_unattributed: losses.sockets_unattributed,
        stacks: losses.stacks,
        samples: damaged,
        captures: losses.captures,
    }
}

/// Counters of a call site, as the model has them at `now_ns` (`CLOCK_BOOTTIME`).
pub(crate) fn site_counters(site: &CallsiteCounters, now_ns: u64) -> SiteCounters {
    SiteCounters {
        key: SiteKey {
            stack_hash: site.key.stack_hash,
            pid: site.key.tgid,
            direction: Direction::from_raw(site.key.direction as u8),
        },
        comm: Comm(site.comm),
        opened: site.counts.opened,
        closed: site.counts.closed(),
        longest_ns: site.counts.longest_ns,
        lifetimes: site.counts.lifetimes,
        pass: site.sums.pass,
        sums: site_sums(&site.sums, now_ns),
    }
}

fn site_sums(sums: &PassSums, now_ns: u64) -> Sums {
    let age_ns = now_ns.saturating_sub(sums.oldest_ns);
    Sums {
        open: sums.open.into(),
        flagged: sums.flagged.into(),
        rx_queue_bytes: sums.rx_queue_bytes,
        memory_bytes: sums.memory_bytes,
        oldest: (sums.open > 0).then_some(Oldest { age_ns, exact: sums.oldest_adopted == 0 }),
        verdicts: VerdictCounts::new(sums.verdicts.map(u64::from)),
    }
}

/// A descriptor that refers to a socket, as the model has it.
pub(crate) fn holder(row: &HolderRow) -> SocketHolder {
    SocketHolder { sk: row.sk, pid: row.tgid, fd: row.fd }
}

/// A process that holds sockets, as the model has it.
pub(crate) fn holder_process(row: &ProcessRow) -> HolderProcess {
    HolderProcess {
        pid: row.tgid,
        comm: Comm(row.comm),
        fds: row.fds,
        sockets: row.sockets,
        memory_bytes: row.memory_bytes,
        rx_queue_bytes: row.rx_queue_bytes,
    }
}

/// A process of a tree, as the model has it.
pub(crate) fn tree_process(process: &leaktrace_common::TreeProcess) -> TreeProcess {
    TreeProcess {
        started_ns: process.started_ns,
        exited_ns: (process.exited_ns != 0).then_some(process.exited_ns),
        left_open: process.left_open,
        parent: process.parent,
        exit_code: process.exit_code,
        comm: Comm(process.comm),
    }
}

/// A socket that only an exit closed, as the model has it.
pub(crate) fn left(row: &LeftRow) -> LeftSocket {
    LeftSocket { at_ns: row.at_ns, pid: row.tgid, socket: observed(&row.socket) }
}

/// What a hook found by frame pointers, as the model has it. Lengths are not trusted.
pub(crate) fn chain(entry: &StackEntry) -> FrameChain<'_> {
    let len = (entry.len as usize).min(entry.frames.len());
    let ended = match entry.ended {
        capture::AT_START => ChainEnd::AtStart,
        capture::TOO_DEEP => ChainEnd::TooDeep,
        capture::NO_USER => ChainEnd::NoUserStack,
        _ => ChainEnd::Broken,
    };
    FrameChain { frames: &entry.frames[..len], ended, leaf_return: entry.leaf_return }
}

/// A copy of a stack, as the model has it. Lengths are not trusted.
pub(crate) fn copy(capture: &StackCapture) -> StackCopy<'_> {
    let len = (capture.len as usize).min(capture.bytes.len());
    StackCopy { ip: capture.ip, sp: capture.sp, bp: capture.bp, bytes: &capture.bytes[..len] }
}

#[cfg(test)]
mod tests;
