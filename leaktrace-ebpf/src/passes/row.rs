//! Reading a full socket into a row. Addresses, queues, flags and counters of a socket are read only here.

use crate::{
    abi::AF_INET6,
    constants::{has_field, offset, setup},
    fields::{Address, Fields},
};
use leaktrace_common::{
    Direction, Observed, PassSettings, SocketRecord, SocketRow,
    conditions::{at_least, at_least_zero, differs, has, not, saturating_sub, select, value_if},
    record_flags, row_flags, row_kind, ticks_from_ns,
};

/// Reads what every socket needs. Returns what its history needs. Only rows that are written need more, see [`describe`].
#[inline(always)]
pub fn read<F: Fields>(sk: F, address: u64, row: &mut SocketRow) -> Observed {
    row.kind = row_kind::SOCKET;
    row.sk = address;
    row.state = sk.read(offset!(skc_state));
    // Before the flags, because a pass over records holds no lock: a close first sets SOCK_DEAD, then clears this pointer (`sock_orphan`,
    // include/net/sock.h).
    let socket: u64 = sk.read(offset!(sk_socket));
    let flags: u64 = sk.read(offset!(sk_flags));
    let bit = |bit: u32| (flags >> (bit & 63) & 1) as u32;
    let (orphan, fin) = (bit(setup!(sock_dead)), bit(setup!(sock_done)));
    // Products instead of branches, see `leaktrace_common::conditions`.
    row.flags = orphan * row_flags::ORPHAN + bit(setup!(sock_keepopen)) * row_flags::KEEPALIVE;
    // A branch, because the verifier forbids arithmetic with what it knows to be a pointer.
    if socket == 0 {
        row.flags |= not(orphan) * row_flags::IN_ACCEPT_QUEUE;
    }
    let seen = Observed {
        state: row.state,
        copied_seq: sk.read(offset!(copied_seq)),
        rcv_nxt: sk.read(offset!(rcv_nxt)),
        snd_una: sk.read(offset!(snd_una)),
        write_seq: sk.read(offset!(write_seq)),
        ..Observed::default()
    }
    .with_payload(fin);
    row.rx_queue_bytes = seen.rx_payload;
    row.tx_queue_bytes = seen.tx_payload;
    let received: u64 = sk.read(offset!(bytes_received));
    row.bytes_received = saturating_sub(received, fin.into());
    let charged: i32 = sk.read(offset!(sk_rmem_alloc));
    let queued: i32 = sk.read(offset!(sk_wmem_queued));
    let ahead: i32 = sk.read(offset!(sk_forward_alloc));
    row.memory_bytes = at_least_zero(charged) + at_least_zero(queued) + at_least_zero(ahead);
    seen
}

/// Adds what the record knows about the socket, during a pass.
#[inline(always)]
pub fn join(row: &mut SocketRow, record: &SocketRecord, settings: &PassSettings) {
    join_at(row, record, settings.now_ns, settings.held_pass);
}

/// Adds what the record knows about the socket, at any moment.
#[inline(always)]
pub fn join_at(row: &mut SocketRow, record: &SocketRecord, now_ns: u64, held_pass: u16) {
    let now = ticks_from_ns(now_ns);
    row.age_ns = saturating_sub(now_ns, record.opened_ns);
    row.callsite = record.callsite;
    row.tid = record.tid;
    let queued = at_least((row.flags & row_flags::IN_ACCEPT_QUEUE).into(), 1);
    row.direction = select(queued, Direction::Accept.raw().into(), record.direction.into()) as u8;
    row.in_state = now.wrapping_sub(record.state_since);
    row.unread = now.wrapping_sub(record.unread_since);
    row.unacked = now.wrapping_sub(record.unacked_since);
    row.idle = now.wrapping_sub(record.payload_since);
    let held = not(differs(record.held_pass.into(), held_pass.into()));
    row.holder_tgid = value_if(held, record.holder_tgid);
    row.holder_fd = value_if(held, record.holder_fd);
    row.flags |= has(record.flags, record_flags::ADOPTED) * row_flags::ADOPTED;
    row.flags |= has(record.flags, record_flags::CONNECTED) * row_flags::WAS_CONNECTED;
}

/// Reads the user timeout of a socket that is idle and has no keepalive: it decides whether a dead peer would be noticed. Others skip it,
/// because it is in a cache line of its own.
#[inline(always)]
pub fn read_user_timeout<F: Fields>(sk: F, row: &mut SocketRow, settings: &PassSettings) {
    let unguarded = not(at_least((row.flags & row_flags::KEEPALIVE).into(), 1));
    // One branch for both conditions, see `leaktrace_common::conditions`.
    if unguarded & at_least(row.idle.into(), settings.idle.into()) != 0 {
        row.user_timeout_ms = sk.read(offset!(icsk_user_timeout));
    }
}

/// Reads what only rows that are written need: addresses, byte counts, namespace, waiters. The row must have been cleared before.
#[inline(always)]
pub fn describe<F: Fields>(sk: F, row: &mut SocketRow) {
    row.bytes_sent = sk.read(offset!(bytes_sent));
    row.bytes_acked = sk.read(offset!(bytes_acked));
    row.user_timeout_ms = sk.read(offset!(icsk_user_timeout));
    row.family = sk.read(offset!(skc_family));
    let local_port: u16 = sk.read(offset!(inet_sport));
    row.local_port = u16::from_be(local_port);
    let remote_port: u16 = sk.read(offset!(skc_dport));
    row.remote_port = u16::from_be(remote_port);
    if row.family == AF_INET6 && has_field!(skc_v6_daddr) {
        row.local = words(sk, offset!(skc_v6_rcv_saddr));
        row.remote = words(sk, offset!(skc_v6_daddr));
    } else {
        let local: u32 = sk.read(offset!(skc_rcv_saddr));
        let remote: u32 = sk.read(offset!(skc_daddr));
        row.local[..4].copy_from_slice(&local.to_ne_bytes());
        row.remote[..4].copy_from_slice(&remote.to_ne_bytes());
    }
    let net: u64 = sk.read(offset!(skc_net));
    row.netns = Address(net).read(offset!(net_inum));
    let queue: u64 = sk.read(offset!(sk_wq));
    if queue != 0 {
        let head = queue + offset!(wq_head) as u64;
        let first: u64 = Address(head).read(0);
        row.flags |= row_flags::WAITERS_KNOWN;
        if first != 0 && first != head {
            row.flags |= row_flags::WAITERS;
        }
    }
}

/// Reads sixteen bytes as four words: a load through a typed pointer may not read more of an address at once.
#[inline(always)]
fn words<F: Fields>(sk: F, offset: usize) -> [u8; 16] {
    let mut address = [0; 16];
    let mut word = 0;
    while word < 4 {
        let bytes: u32 = sk.read(offset + word * 4);
        let bytes = bytes.to_ne_bytes();
        let mut byte = 0;
        while byte < 4 {
            address[word * 4 + byte] = bytes[byte];
            byte += 1;
        }
        word += 1;
    }
    address
}
