//! What is kept of the process tree of a command: its processes, what their exit closed, and which verdicts were found.

use leaktrace_model::{LeftSocket, Observed, Socket, TreeProcess, Verdicts};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Most processes, sockets left open and flagged sockets that are kept one by one. Further ones are only counted.
pub(crate) const MOST_KEPT: usize = 65_536;

/// Everything that is known of the tree.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// By id and time of the fork, because ids are reused.
    pub(crate) processes: BTreeMap<(u32, u64), TreeProcess>,
    /// Processes that were forgotten because there were too many.
    pub(crate) forgotten: u64,
    pids: HashSet<u32>,
    pub(crate) left: Vec<Left>,
    /// Sockets whose call site is not known yet.
    pub(crate) unplaced: Vec<LeftSocket>,
    /// Sockets left open so far, and those that the filters let through.
    pub(crate) rows: u64,
    pub(crate) matching: u64,
    /// By address and time of the opening, because addresses are reused.
    pub(crate) flagged: HashMap<(u64, u64), (Verdicts, Socket)>,
}

/// A socket that only the exit of a process closed, as reports show it.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    pub(crate) pid: u32,
    pub(crate) at_ns: u64,
    pub(crate) socket: Socket,
}

impl Tree {
    /// Whether a process is or was in the tree.
    pub(crate) fn has(&self, pid: u32) -> bool {
        self.pids.contains(&pid)
    }

    pub(crate) fn ingest(&mut self, processes: Vec<(u32, TreeProcess)>) {
        for (pid, process) in processes {
            self.pids.insert(pid);
            self.processes.insert((pid, process.started_ns), process);
        }
        if self.processes.len() > MOST_KEPT {
            let before = self.processes.len();
            self.processes.retain(|_, process| process.exited_ns.is_none() || process.left_open > 0);
            self.forgotten += (before - self.processes.len()) as u64;
        }
    }

    /// The process that had an id at a time.
    pub(crate) fn process(&self, pid: u32, at_ns: u64) -> Option<&TreeProcess> {
        self.processes.range((pid, 0)..=(pid, at_ns)).next_back().map(|(_, process)| process)
    }

    pub(crate) fn flag(&mut self, row: &Observed, now_ns: u64, describe: impl FnOnce() -> Socket) {
        let key = (row.sk, now_ns.saturating_sub(row.age_ns));
        let before = self.flagged.get(&key).map_or(Verdicts::NONE, |(verdicts, _)| *verdicts);
        let all = before.or(row.verdicts);
        if all == before || (before.is_empty() && self.flagged.len() >= MOST_KEPT) {
            return;
        }
        let mut socket = describe();
        socket.observed.verdicts = all;
        self.flagged.insert(key, (all, socket));
    }
}
