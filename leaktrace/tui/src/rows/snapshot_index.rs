//! The index of a snapshot: where things are in its lists, and counts. Made once for each snapshot, on another thread than the
//! one that reads keys.

use leaktrace_model::{Severity, Snapshot, Socket, VerdictCounts};
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::ops::Range;

/// The index of one snapshot; its numbers are places in the lists of that snapshot.
#[derive(Clone, Debug, Default)]
pub struct SnapshotIndex {
    /// Listed sockets by their worst verdict: info, suspect, leak.
    severities: [u64; 3],
    /// Listed sockets by verdict.
    pub(crate) verdict_totals: VerdictCounts,
    /// The verdicts of each process's sockets.
    pub(crate) process_verdicts: Vec<VerdictCounts>,
    processes: HashMap<u32, u32>,
    callsites: HashMap<u64, u32>,
    by_callsite: Lists<u64>,
    by_process: Lists<u32>,
    by_host: Lists<IpAddr>,
}

/// Sockets by a property that they share: all of them in one list, and which part of it has which property.
#[derive(Clone, Debug)]
struct Lists<K> {
    indices: Vec<u32>,
    ranges: HashMap<K, Range<u32>>,
}

impl<K> Default for Lists<K> {
    fn default() -> Self {
        Self { indices: Vec::new(), ranges: HashMap::new() }
    }
}

impl<K: Copy + Ord + Hash> Lists<K> {
    fn of(mut pairs: Vec<(K, u32)>) -> Self {
        pairs.sort_unstable();
        pairs.dedup();
        let mut ranges = HashMap::new();
        let mut start = 0u32;
        for chunk in pairs.chunk_by(|a, b| a.0 == b.0) {
            let end = start + chunk.len() as u32;
            ranges.extend(chunk.first().map(|pair| (pair.0, start..end)));
            start = end;
        }
        Self { indices: pairs.into_iter().map(|pair| pair.1).collect(), ranges }
    }

    /// In the snapshot's order.
    fn get(&self, shared: K) -> &[u32] {
        let range = self.ranges.get(&shared).cloned().unwrap_or(0..0);
        self.indices.get(range.start as usize..range.end as usize).unwrap_or(&[])
    }
}

impl SnapshotIndex {
    /// Makes the index. Takes several passes over everything, so never call it on the thread that reads keys.
    pub fn of(snapshot: &Snapshot) -> Self {
        let processes = (0u32..).zip(&snapshot.processes).map(|(at, process)| (process.pid, at)).collect();
        let callsites = (0u32..).zip(&snapshot.callsites).map(|(at, site)| (site.id, at)).collect();
        let mut index = Self {
            process_verdicts: vec![VerdictCounts::default(); snapshot.processes.len()],
            processes,
            callsites,
            ..Self::default()
        };
        for socket in &snapshot.sockets {
            let verdicts = socket.observed.verdicts;
            let Some(severity) = verdicts.severity() else { continue };
            index.severities[severity as usize] += 1;
            index.verdict_totals.add(verdicts);
            for (nth, pid) in holding_pids(socket).enumerate() {
                let seen = holding_pids(socket).take(nth).any(|before| before == pid);
                if let (false, Some(at)) = (seen, index.processes.get(&pid)) {
                    index.process_verdicts[*at as usize].add(verdicts);
                }
            }
        }
        let sockets = || (0u32..).zip(&snapshot.sockets);
        index.by_callsite = Lists::of(sockets().filter_map(|(at, socket)| Some((socket.callsite?, at))).collect());
        let held = |(at, socket)| holding_pids(socket).map(move |pid| (pid, at));
        index.by_process = Lists::of(sockets().flat_map(held).collect());
        index.by_host = Lists::of(sockets().map(|(at, socket)| (socket.observed.remote.ip(), at)).collect());
        index
    }

    /// Listed sockets whose worst verdict is of that severity.
    pub(crate) fn of_severity(&self, severity: Severity) -> u64 {
        self.severities[severity as usize]
    }

    /// Listed sockets that are flagged.
    pub(crate) fn flagged(&self) -> u64 {
        self.severities.iter().sum()
    }

    /// Indices of the listed sockets of a call site, worst first.
    pub(crate) fn sockets_of(&self, callsite: u64) -> &[u32] {
        self.by_callsite.get(callsite)
    }

    /// Indices of the listed sockets that a process holds, worst first.
    pub(crate) fn sockets_held_by(&self, pid: u32) -> &[u32] {
        self.by_process.get(pid)
    }

    /// Indices of the listed sockets with that remote address, worst first.
    pub(crate) fn sockets_with(&self, host: IpAddr) -> &[u32] {
        self.by_host.get(host)
    }

    /// Index of the process of that id.
    pub(crate) fn process(&self, pid: u32) -> Option<usize> {
        self.processes.get(&pid).map(|at| *at as usize)
    }

    /// Index of the call site of that id.
    pub(crate) fn callsite(&self, id: u64) -> Option<usize> {
        self.callsites.get(&id).map(|at| *at as usize)
    }
}

/// Processes that hold a socket, with repetitions; the opener where no holder is known.
pub(crate) fn holding_pids(socket: &Socket) -> impl Iterator<Item = u32> {
    let opener = if socket.holders.is_empty() { socket.opener } else { None };
    socket.holders.iter().map(|holder| holder.pid).chain(opener.map(|opener| opener.pid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::{Callsite, Holder, Observed, Process, Verdict, Verdicts};

    fn socket(callsite: u64, verdicts: &[Verdict], pids: &[u32]) -> Socket {
        let mut set = Verdicts::NONE;
        verdicts.iter().for_each(|verdict| set.insert(*verdict));
        Socket {
            observed: Observed { verdicts: set, ..Observed::default() },
            callsite: Some(callsite),
            holders: pids.iter().map(|pid| Holder { pid: *pid, ..Holder::default() }).collect(),
            ..Socket::default()
        }
    }

    #[test]
    fn a_socket_counts_once_by_its_worst_verdict_and_once_a_process() {
        let snapshot = Snapshot {
            processes: vec![Process { pid: 7, ..Process::default() }],
            callsites: vec![Callsite { id: 2, ..Callsite::default() }],
            sockets: vec![
                socket(2, &[Verdict::LongLived, Verdict::CloseWait], &[7, 7]),
                socket(1, &[Verdict::SilentPeer], &[9]),
                socket(2, &[], &[7]),
            ],
            ..Snapshot::default()
        };
        let index = SnapshotIndex::of(&snapshot);
        assert_eq!(index.severities, [0, 1, 1]);
        assert_eq!(index.process_verdicts[0].get(Verdict::CloseWait), 1);
        assert_eq!(index.sockets_of(2), [0, 2]);
        assert_eq!(index.sockets_of(5), [0u32; 0]);
        assert_eq!(index.callsite(2), Some(0));
        assert_eq!(index.sockets_held_by(7), [0, 2], "twice held, once listed");
        assert_eq!(index.sockets_with(IpAddr::from([0, 0, 0, 0])), [0, 1, 2]);
        assert_eq!(index.sockets_with(IpAddr::from([10, 0, 0, 1])), [0u32; 0]);
    }
}
