//! One row as reports show it, and whether it is to be shown.

use super::Tracker;
use leaktrace_common::{Direction, SocketRow, TcpState, Ticks, Verdicts, row_flags, ticks_to_ns};
use leaktrace_model::{
    address,
    filter::Candidate,
    host::ProcessFacts,
    snapshot::{Holder, Socket},
};

impl Tracker {
    /// Whether a socket matches the filters and is not ignored.
    pub(super) fn passes(&self, row: &SocketRow) -> bool {
        self.with_candidate(row, |candidate| {
            self.filter.matches(candidate) && !self.ignore.iter().any(|ignore| ignore.matches(candidate))
        })
    }

    /// Whether a socket would be shown if it were not ignored.
    pub(super) fn is_ignored(&self, row: &SocketRow) -> bool {
        self.with_candidate(row, |candidate| {
            self.filter.matches(candidate) && self.ignore.iter().any(|ignore| ignore.matches(candidate))
        })
    }

    fn with_candidate<R>(&self, row: &SocketRow, ask: impl FnOnce(&Candidate<'_>) -> R) -> R {
        let opener = self.sites.opener(row.callsite);
        let mut pids: Vec<u32> = self.processes.of_socket(row.sk).iter().map(|(pid, _)| *pid).collect();
        pids.extend(opener.iter().map(|(pid, _)| *pid));
        if row.holder_tgid != 0 {
            pids.push(row.holder_tgid);
        }
        let processes: Vec<&ProcessFacts> = pids.iter().filter_map(|pid| self.facts.get(pid)).collect();
        ask(&Candidate {
            socket: Some(row),
            pids: &pids,
            processes: &processes,
            comm: opener.as_ref().map_or("", |(_, comm)| comm),
            direction: Some(Direction::from_raw(row.direction)),
        })
    }

    /// The name of a process; empty if nothing is known of it.
    pub(super) fn comm_of(&self, pid: u32) -> String {
        self.facts.get(&pid).map(|facts| facts.comm.clone()).unwrap_or_default()
    }

    /// A row as reports show it.
    pub(super) fn describe(&self, row: &SocketRow) -> Socket {
        let has = |flag: u32| row.flags & flag != 0;
        let opener = self.sites.opener(row.callsite);
        let remote = address::remote(row);
        let mut holders = self.processes.describe(row.sk, |pid| self.comm_of(pid));
        if holders.is_empty() && row.holder_tgid != 0 {
            holders.push(Holder { pid: row.holder_tgid, comm: self.comm_of(row.holder_tgid), fd: row.holder_fd });
        }
        let process = holders.first().map(|holder| holder.pid).or(opener.as_ref().map(|(pid, _)| *pid));
        let placement = process.and_then(|pid| self.facts.get(&pid)).map(|facts| &facts.placement);
        // Without a record nobody knows since when anything is as it is.
        let known = !has(row_flags::UNATTRIBUTED);
        let waiting = |bytes: u32, span: Ticks| (known && bytes > 0).then(|| seconds(span));
        Socket {
            cookie: (row.cookie != 0).then_some(row.cookie),
            callsite: self.sites.of_index(row.callsite).map(|site| site.id),
            direction: Direction::from_raw(row.direction).name().to_owned(),
            family: if remote.is_ipv4() { "ipv4" } else { "ipv6" }.to_owned(),
            local: address::local(row).to_string(),
            remote: remote.to_string(),
            state: TcpState::from_raw(row.state).name().to_owned(),
            pid: opener.as_ref().map(|(pid, _)| *pid),
            tid: (row.tid != 0).then_some(row.tid),
            comm: opener.map(|(_, comm)| comm),
            holders,
            age_s: row.age_ns as f64 / 1e9,
            age_exact: !has(row_flags::ADOPTED),
            idle_s: known.then(|| seconds(row.idle)),
            rx_queue_bytes: row.rx_queue_bytes.into(),
            tx_queue_bytes: row.tx_queue_bytes.into(),
            bytes_received: row.bytes_received,
            bytes_read: row.bytes_read(),
            bytes_sent: row.bytes_sent,
            bytes_acked: row.bytes_acked,
            unread_s: waiting(row.rx_queue_bytes, row.unread),
            unacked_s: waiting(row.tx_queue_bytes, row.unacked),
            state_s: known.then(|| seconds(row.in_state)),
            keepalive: Some(has(row_flags::KEEPALIVE)),
            user_timeout_ms: (row.user_timeout_ms != 0).then_some(row.user_timeout_ms),
            waiters: has(row_flags::WAITERS_KNOWN).then(|| has(row_flags::WAITERS)),
            memory_bytes: row.memory_bytes.into(),
            netns: (row.netns != 0).then_some(row.netns.into()),
            container: placement.and_then(|placement| placement.container.clone()),
            verdicts: Verdicts(row.verdicts).iter().map(|verdict| verdict.name().to_owned()).collect(),
        }
    }
}

fn seconds(span: Ticks) -> f64 {
    ticks_to_ns(span) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrackerOptions;

    #[test]
    fn a_socket_without_history_has_no_spans() {
        let spans = |flags| {
            let row = SocketRow { flags, rx_queue_bytes: 5, tx_queue_bytes: 5, ..SocketRow::default() };
            let socket = Tracker::new(TrackerOptions::default()).describe(&row);
            [socket.idle_s, socket.state_s, socket.unread_s, socket.unacked_s]
        };
        assert_eq!(spans(0), [Some(0.0); 4]);
        assert_eq!(spans(row_flags::UNATTRIBUTED), [None; 4]);
    }
}
