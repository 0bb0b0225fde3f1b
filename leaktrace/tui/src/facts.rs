//! What follows from a snapshot and is needed again and again: counted once per snapshot, aside from the keyboard.

use super::row_key::host_of;
use leaktrace_common::{Severity, Verdict, Verdicts};
use leaktrace_model::snapshot::{Snapshot, Socket, VerdictCounts};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

/// Sockets by verdict, in the order of [`Verdict::ALL`].
pub type Counts = [u64; Verdict::COUNT];

/// Counts of a row as the snapshot has them by name; names that this version does not know are left out.
pub fn counts_of(map: &VerdictCounts) -> Counts {
    let mut counts = Counts::default();
    for (name, count) in map {
        if let Some(verdict) = Verdict::from_name(name) {
            counts[verdict as usize] = *count;
        }
    }
    counts
}

/// The worst severity that is counted.
pub fn worst(counts: &Counts) -> Option<Severity> {
    Verdict::ALL.into_iter().find(|verdict| counts[*verdict as usize] > 0).map(Verdict::severity)
}

/// Derived from one snapshot; indices are those of its lists.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Listed sockets by their worst verdict: info, suspect, leak.
    pub severities: [u64; 3],
    /// Listed sockets by verdict.
    pub verdict_totals: Counts,
    /// The verdicts of each socket.
    pub verdicts: Vec<Verdicts>,
    /// The verdicts of each process's sockets.
    pub process_verdicts: Vec<Counts>,
    processes: HashMap<u32, u32>,
    callsites: HashMap<u64, u32>,
    by_callsite: Lists,
    by_process: Lists,
    by_host: Lists,
}

/// Sockets by something they share: one list of indices, and where in it each one's are.
#[derive(Clone, Debug, Default)]
struct Lists {
    indices: Vec<u32>,
    ranges: HashMap<u64, Range<u32>>,
}

impl Lists {
    fn of(mut pairs: Vec<(u64, u32)>) -> Self {
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
    fn get(&self, shared: u64) -> &[u32] {
        let range = self.ranges.get(&shared).cloned().unwrap_or(0..0);
        self.indices.get(range.start as usize..range.end as usize).unwrap_or(&[])
    }
}

fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl Facts {
    /// Several passes over everything, so not where keys are read.
    pub fn of(snapshot: &Snapshot) -> Self {
        let processes = (0u32..).zip(&snapshot.processes).map(|(at, process)| (process.pid, at)).collect();
        let callsites = (0u32..).zip(&snapshot.callsites).map(|(at, site)| (site.id, at)).collect();
        let mut facts = Self {
            verdicts: snapshot.sockets.iter().map(Socket::verdict_set).collect(),
            process_verdicts: vec![Counts::default(); snapshot.processes.len()],
            processes,
            callsites,
            ..Self::default()
        };
        for (socket, verdicts) in snapshot.sockets.iter().zip(&facts.verdicts) {
            if let Some(severity) = verdicts.severity() {
                facts.severities[severity as usize] += 1;
            }
            for verdict in verdicts.iter() {
                facts.verdict_totals[verdict as usize] += 1;
            }
            if verdicts.is_empty() {
                continue;
            }
            for (nth, pid) in holding_pids(socket).enumerate() {
                let seen = holding_pids(socket).take(nth).any(|before| before == pid);
                if let (false, Some(at)) = (seen, facts.processes.get(&pid)) {
                    for verdict in verdicts.iter() {
                        facts.process_verdicts[*at as usize][verdict as usize] += 1;
                    }
                }
            }
        }
        let sockets = || (0u32..).zip(&snapshot.sockets);
        facts.by_callsite = Lists::of(sockets().filter_map(|(at, socket)| Some((socket.callsite?, at))).collect());
        let held = |(at, socket)| holding_pids(socket).map(move |pid| (u64::from(pid), at));
        facts.by_process = Lists::of(sockets().flat_map(held).collect());
        facts.by_host = Lists::of(sockets().map(|(at, socket)| (hash_of(host_of(&socket.remote)), at)).collect());
        facts
    }

    /// Indices of the listed sockets of a call site, worst first.
    pub fn sockets_of(&self, callsite: u64) -> &[u32] {
        self.by_callsite.get(callsite)
    }

    /// Indices of the listed sockets that a process holds, worst first.
    pub fn sockets_held_by(&self, pid: u32) -> &[u32] {
        self.by_process.get(u64::from(pid))
    }

    /// Indices of the listed sockets whose remote address that may be, worst first; names that hash alike come too.
    pub fn sockets_with(&self, peer: &str) -> &[u32] {
        self.by_host.get(hash_of(host_of(peer)))
    }

    /// Index of the process of that id.
    pub fn process(&self, pid: u32) -> Option<usize> {
        self.processes.get(&pid).map(|at| *at as usize)
    }

    /// Index of the call site of that id.
    pub fn callsite(&self, id: u64) -> Option<usize> {
        self.callsites.get(&id).map(|at| *at as usize)
    }
}

/// Processes that hold a socket, with repetitions; the opener where no holder is known.
pub fn holding_pids(socket: &Socket) -> impl Iterator<Item = u32> {
    let opener = if socket.holders.is_empty() { socket.pid } else { None };
    socket.holders.iter().map(|holder| holder.pid).chain(opener)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::snapshot::{Callsite, Holder, Process};

    fn socket(callsite: u64, verdicts: &[&str], pids: &[u32]) -> Socket {
        Socket {
            callsite: Some(callsite),
            verdicts: verdicts.iter().map(|v| (*v).to_owned()).collect(),
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
                socket(2, &["long-lived", "close-wait"], &[7, 7]),
                socket(1, &["silent-peer", "made-up"], &[9]),
                socket(2, &[], &[7]),
            ],
            ..Snapshot::default()
        };
        let facts = Facts::of(&snapshot);
        assert_eq!(facts.severities, [0, 1, 1]);
        assert_eq!(facts.process_verdicts[0][Verdict::CloseWait as usize], 1);
        assert_eq!(facts.sockets_of(2), [0, 2]);
        assert_eq!(facts.sockets_of(5), [0u32; 0]);
        assert_eq!(facts.callsite(2), Some(0));
        assert_eq!(facts.sockets_held_by(7), [0, 2], "twice held, once listed");
        assert_eq!(facts.sockets_with(":80"), [0, 1, 2]);
        assert_eq!(facts.sockets_with("10.0.0.1"), [0u32; 0]);
    }
}
