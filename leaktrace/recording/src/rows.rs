//! What is written of each kind of row, as cells that stay the same while nothing happens.
//!
//! Spans until now become moments since when: the age of an idle socket grows with every sample, its opening does not
//! move. The order of cells is the format: it never changes within a version.

use leaktrace_common::{
    CallsiteCounters, CallsiteKey, HolderRow, LIFETIME_BUCKETS, PassSettings, PassSums, ProcessRow, SocketRow, Tally,
    Ticks, row_kind, ticks_from_ns,
};

/// Cells of a socket; the first is the key.
pub const SOCKET_CELLS: usize = 29;
/// Cells of a call site; the first is the key.
pub const CALLSITE_CELLS: usize = 11 + LIFETIME_BUCKETS + 17;
/// Cells of a holder; all are the key.
pub const HOLDER_CELLS: usize = 2;
/// Cells of a process; the first is the key.
pub const PROCESS_CELLS: usize = 7;

/// The moment of a sample, which spans are counted from.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    ns: u64,
    ticks: Ticks,
    pass: u32,
}

impl Now {
    /// Of the passes that went by these settings.
    pub fn of(limits: &PassSettings) -> Self {
        Self { ns: limits.now_ns, ticks: ticks_from_ns(limits.now_ns), pass: limits.pass.into() }
    }

    /// Since when; 0 where the span is 0, as for what begins anew with every sample.
    fn since(self, span: Ticks) -> u64 {
        if span == 0 { 0 } else { 1 + u64::from(self.ticks.wrapping_sub(span)) }
    }

    fn span(self, since: u64) -> Ticks {
        if since == 0 { 0 } else { self.ticks.wrapping_sub((since - 1) as Ticks) }
    }

    /// The pass that made a sum; 0 for the pass of this sample.
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

/// The cells of a socket.
pub fn of_socket(row: &SocketRow, now: Now) -> [u64; SOCKET_CELLS] {
    let (local, remote) = (halves(row.local), halves(row.remote));
    [
        row.sk,
        row.flags.into(),
        row.cookie,
        now.ns.wrapping_sub(row.age_ns),
        row.bytes_received,
        row.bytes_sent,
        row.bytes_acked,
        local[0],
        local[1],
        remote[0],
        remote[1],
        row.netns.into(),
        row.rx_queue_bytes.into(),
        row.tx_queue_bytes.into(),
        row.memory_bytes.into(),
        row.callsite.into(),
        row.tid.into(),
        row.holder_tgid.into(),
        row.holder_fd.into(),
        row.user_timeout_ms.into(),
        now.since(row.in_state),
        now.since(row.unread),
        now.since(row.unacked),
        now.since(row.idle),
        row.verdicts.into(),
        row.family.into(),
        row.local_port.into(),
        row.remote_port.into(),
        u64::from(row.state) << 8 | u64::from(row.direction),
    ]
}

/// The socket of these cells. What is too large for its field loses its upper bits.
pub fn to_socket(cells: &[u64; SOCKET_CELLS], now: Now) -> SocketRow {
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
        holder_tgid,
        holder_fd,
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
    SocketRow {
        kind: row_kind::SOCKET,
        flags: flags as u32,
        sk,
        cookie,
        age_ns: now.ns.wrapping_sub(opened),
        bytes_received,
        bytes_sent,
        bytes_acked,
        local: whole([local_high, local_low]),
        remote: whole([remote_high, remote_low]),
        netns: netns as u32,
        rx_queue_bytes: rx_queue_bytes as u32,
        tx_queue_bytes: tx_queue_bytes as u32,
        memory_bytes: memory_bytes as u32,
        callsite: callsite as u32,
        tid: tid as u32,
        holder_tgid: holder_tgid as u32,
        holder_fd: holder_fd as u32,
        user_timeout_ms: user_timeout_ms as u32,
        in_state: now.span(in_state),
        unread: now.span(unread),
        unacked: now.span(unacked),
        idle: now.span(idle),
        verdicts: verdicts as u32,
        family: family as u16,
        local_port: local_port as u16,
        remote_port: remote_port as u16,
        state: (state >> 8) as u8,
        direction: state as u8,
    }
}

/// The cells of a call site.
pub fn of_callsite(index: u32, site: &CallsiteCounters, now: Now) -> [u64; CALLSITE_CELLS] {
    let comm = halves(site.comm);
    let sums = &site.sums;
    let mut cells = [0; CALLSITE_CELLS];
    cells[..11].copy_from_slice(&[
        index.into(),
        site.key.stack_hash,
        site.key.tgid.into(),
        site.key.direction.into(),
        site.first_ns,
        site.tally.opened,
        site.tally.closed(),
        site.tally.longest_ns,
        site.copy_wanted,
        comm[0],
        comm[1],
    ]);
    cells[11..11 + LIFETIME_BUCKETS].copy_from_slice(&site.tally.lifetimes);
    let rest = &mut cells[11 + LIFETIME_BUCKETS..];
    rest[..7].copy_from_slice(&[
        now.pass(sums.pass),
        sums.open.into(),
        sums.flagged.into(),
        sums.oldest_adopted.into(),
        sums.oldest_ns,
        sums.rx_queue_bytes,
        sums.memory_bytes,
    ]);
    for (cell, count) in rest[7..].iter_mut().zip(sums.verdicts) {
        *cell = count.into();
    }
    cells
}

/// The call site of these cells, and its index.
pub fn to_callsite(cells: &[u64; CALLSITE_CELLS], now: Now) -> (u32, CallsiteCounters) {
    let [index, stack_hash, tgid, direction, first_ns, opened, closed, longest_ns, copy_wanted, high, low, rest @ ..] =
        *cells;
    let mut lifetimes = [0; LIFETIME_BUCKETS];
    lifetimes.copy_from_slice(&rest[..LIFETIME_BUCKETS]);
    let rest = &rest[LIFETIME_BUCKETS..];
    let mut sums = PassSums {
        pass: now.pass_number(rest[0]),
        open: rest[1] as u32,
        flagged: rest[2] as u32,
        oldest_adopted: rest[3] as u32,
        oldest_ns: rest[4],
        rx_queue_bytes: rest[5],
        memory_bytes: rest[6],
        ..PassSums::default()
    };
    for (count, cell) in sums.verdicts.iter_mut().zip(&rest[7..]) {
        *count = *cell as u32;
    }
    let key = CallsiteKey { stack_hash, tgid: tgid as u32, direction: direction as u32 };
    let comm = whole([high, low]);
    let tally = Tally { opened, closed_adopted: 0, longest_ns, lifetimes }.with_closed(closed);
    let site = CallsiteCounters { key, first_ns, tallies: 0, copy_wanted, comm, tally, sums };
    (index as u32, site)
}

/// The cells of a holder.
pub fn of_holder(row: &HolderRow) -> [u64; HOLDER_CELLS] {
    [row.sk, u64::from(row.tgid) << 32 | u64::from(row.fd)]
}

/// The holder of these cells.
pub fn to_holder(cells: &[u64; HOLDER_CELLS]) -> HolderRow {
    let [sk, holder] = *cells;
    HolderRow { kind: row_kind::HOLDER, tgid: (holder >> 32) as u32, sk, fd: holder as u32, _pad: 0 }
}

/// The cells of a process.
pub fn of_process(row: &ProcessRow) -> [u64; PROCESS_CELLS] {
    let comm = halves(row.comm);
    [row.tgid.into(), row.fds.into(), row.sockets.into(), row.memory_bytes, row.rx_queue_bytes, comm[0], comm[1]]
}

/// The process of these cells.
pub fn to_process(cells: &[u64; PROCESS_CELLS]) -> ProcessRow {
    let [tgid, fds, sockets, memory_bytes, rx_queue_bytes, high, low] = *cells;
    ProcessRow {
        kind: row_kind::PROCESS,
        tgid: tgid as u32,
        fds: fds as u32,
        sockets: sockets as u32,
        memory_bytes,
        rx_queue_bytes,
        comm: whole([high, low]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::FromBytes;

    fn now() -> impl Strategy<Value = Now> {
        (any::<u64>(), any::<u16>())
            .prop_map(|(now_ns, pass)| Now::of(&PassSettings { now_ns, pass, ..PassSettings::default() }))
    }

    /// Any bytes of the right length.
    fn bytes<const N: usize>() -> impl Strategy<Value = [u8; N]> {
        proptest::collection::vec(any::<u8>(), N).prop_map(|bytes| {
            let mut array = [0; N];
            array.copy_from_slice(&bytes);
            array
        })
    }

    proptest! {
        #[test]
        fn every_socket_comes_back_as_it_was(bytes in bytes::<152>(), now in now()) {
            let row = SocketRow { kind: row_kind::SOCKET, ..SocketRow::read_from_bytes(&bytes).unwrap() };
            prop_assert_eq!(to_socket(&of_socket(&row, now), now), row);
        }

        #[test]
        fn every_call_site_comes_back_as_it_was(bytes in bytes::<512>(), index: u32, now in now()) {
            let site = CallsiteCounters { tallies: 0, ..CallsiteCounters::read_from_bytes(&bytes).unwrap() };
            prop_assert_eq!(to_callsite(&of_callsite(index, &site, now), now), (index, site));
        }

        #[test]
        fn every_holder_and_process_comes_back_as_it_was(holder in bytes::<24>(), process in bytes::<48>()) {
            let holder = HolderRow { kind: row_kind::HOLDER, _pad: 0, ..HolderRow::read_from_bytes(&holder).unwrap() };
            prop_assert_eq!(to_holder(&of_holder(&holder)), holder);
            let process = ProcessRow { kind: row_kind::PROCESS, ..ProcessRow::read_from_bytes(&process).unwrap() };
            prop_assert_eq!(to_process(&of_process(&process)), process);
        }
    }

    #[test]
    fn a_socket_that_does_nothing_has_the_same_cells_a_second_later() {
        let at = |now_ns| Now::of(&PassSettings { now_ns, ..PassSettings::default() });
        let (first, second) = (5_000_000_000, 6_000_000_000);
        let row = |now_ns: u64| SocketRow {
            age_ns: now_ns - 1_000_000_000,
            in_state: ticks_from_ns(now_ns) - 100,
            idle: ticks_from_ns(now_ns) - 120,
            ..SocketRow::default()
        };
        assert_eq!(of_socket(&row(first), at(first)), of_socket(&row(second), at(second)));
    }
}
