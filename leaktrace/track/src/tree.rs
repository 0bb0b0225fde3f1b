//! The tree of a command over time: its processes, what their exit closed, and which verdicts came up.

use super::{Tracker, sites::text};
use leaktrace_common::{LeftRow, SocketRow, TreeProcess, Verdicts};
use leaktrace_model::{
    sample::TreeSample,
    snapshot::{LeftOpen, Run, RunProcess, Socket},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
};

/// Most processes, sockets left open and flagged sockets that are kept one by one. More are counted.
const MOST_KEPT: usize = 65_536;

/// What has been learned of the tree.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// By id and time of the fork, as ids are reused.
    processes: BTreeMap<(u32, u64), TreeProcess>,
    /// Processes that were forgotten because there were too many.
    forgotten: u64,
    pids: HashSet<u32>,
    left: Vec<Left>,
    /// Rows whose call site has not been told of.
    unplaced: Vec<LeftRow>,
    /// Rows that have come, and rows that the filters let through.
    rows: u64,
    matching: u64,
    /// By address and time of the opening, as addresses are reused.
    flagged: HashMap<(u64, u64), (Verdicts, Socket)>,
}

#[derive(Clone, Debug)]
struct Left {
    pid: u32,
    at_ns: u64,
    socket: Socket,
}

impl Tree {
    /// Whether a process is or was of the tree.
    pub fn has(&self, pid: u32) -> bool {
        self.pids.contains(&pid)
    }

    fn ingest(&mut self, processes: Vec<(u32, TreeProcess)>) {
        for (pid, process) in processes {
            self.pids.insert(pid);
            self.processes.insert((pid, process.started_ns), process);
        }
        if self.processes.len() > MOST_KEPT {
            let before = self.processes.len();
            self.processes.retain(|_, process| process.exited_ns == 0 || process.left_open > 0);
            self.forgotten += (before - self.processes.len()) as u64;
        }
    }

    /// The process that had an id at a time.
    fn process(&self, pid: u32, at_ns: u64) -> Option<&TreeProcess> {
        self.processes.range((pid, 0)..=(pid, at_ns)).next_back().map(|(_, process)| process)
    }

    fn flag(&mut self, row: &SocketRow, now_ns: u64, describe: impl FnOnce() -> Socket) {
        let key = (row.sk, now_ns.saturating_sub(row.age_ns));
        let before = self.flagged.get(&key).map_or(Verdicts::NONE, |(verdicts, _)| *verdicts);
        let all = before.or(Verdicts(row.verdicts));
        if all == before || (before.is_empty() && self.flagged.len() >= MOST_KEPT) {
            return;
        }
        let verdicts = all.iter().map(|verdict| verdict.name().to_owned()).collect();
        self.flagged.insert(key, (all, Socket { verdicts, ..describe() }));
    }
}

impl Tracker {
    /// Takes in what a sample tells of the tree, after its rows and call sites.
    pub(super) fn ingest_tree(&mut self, sample: Option<TreeSample>) {
        // The tree asks the rest of the tracker about sockets, which asks nothing of the tree.
        let Some(mut tree) = self.tree.take() else { return };
        let TreeSample { processes, left } = sample.unwrap_or_default();
        tree.ingest(processes);
        tree.rows += left.len() as u64;
        let rows = self.rows.iter().map(|row| (row, self.now.boot_ns));
        let dead = self.dead.iter().map(|row| (row, self.dead_ns));
        for (row, now_ns) in rows.chain(dead).filter(|(row, _)| row.verdicts != 0 && self.passes(row)) {
            tree.flag(row, now_ns, || self.describe(row));
        }
        let was_unplaced = std::mem::take(&mut tree.unplaced);
        let is_new = was_unplaced.len();
        for (at, left) in was_unplaced.into_iter().chain(left).enumerate() {
            if at >= is_new && self.sites.of_index(left.socket.callsite).is_none() && tree.unplaced.len() < MOST_KEPT {
                tree.unplaced.push(left);
            } else {
                self.keep_left(&mut tree, &left);
            }
        }
        self.tree = Some(tree);
    }

    fn keep_left(&self, tree: &mut Tree, left: &LeftRow) {
        if !self.passes(&left.socket) {
            return;
        }
        tree.matching += 1;
        if left.socket.verdicts != 0 {
            tree.flag(&left.socket, left.at_ns, || self.describe(&left.socket));
        }
        if tree.left.len() < MOST_KEPT {
            tree.left.push(Left { pid: left.tgid, at_ns: left.at_ns, socket: self.describe(&left.socket) });
        }
    }

    /// What there is to tell of the tree; the command itself and its exit status are for others to add.
    pub(super) fn describe_tree(&self) -> Option<Run> {
        let tree = self.tree.as_ref()?;
        let mut left: Vec<LeftOpen> = tree.left.iter().map(|left| self.describe_left(tree, left)).collect();
        for row in tree.unplaced.iter().filter(|row| self.passes(&row.socket)) {
            let left_row = Left { pid: row.tgid, at_ns: row.at_ns, socket: self.describe(&row.socket) };
            left.push(self.describe_left(tree, &left_row));
        }
        let mut left_by_process: HashMap<u32, u64> = HashMap::new();
        for left in &left {
            *left_by_process.entry(left.pid).or_default() += 1;
        }
        let closed_by_exit: u64 = tree.processes.values().map(|process| process.left_open).sum();
        let lost = closed_by_exit.saturating_sub(tree.rows);
        let beyond = tree.matching.saturating_sub(tree.left.len() as u64);
        let mut verdicts = BTreeMap::new();
        for verdict in tree.flagged.values().flat_map(|(all, _)| all.iter()) {
            *verdicts.entry(verdict.name().to_owned()).or_default() += 1;
        }
        let mut flagged: Vec<(&Verdicts, Socket)> =
            tree.flagged.values().map(|(all, socket)| (all, self.placed_now(socket))).collect();
        flagged.sort_by(|a, b| {
            (b.0.severity(), b.1.age_s).partial_cmp(&(a.0.severity(), a.1.age_s)).unwrap_or(std::cmp::Ordering::Equal)
        });
        Some(Run {
            processes_total: tree.processes.len() as u64 + tree.forgotten,
            processes_running: tree.processes.values().filter(|process| process.exited_ns == 0).count() as u64,
            processes: self.describe_processes(tree, &left_by_process),
            left_open_total: left.len() as u64 + lost + beyond,
            left_open_lost: lost + beyond,
            left_open: left,
            verdicts,
            flagged: flagged.into_iter().map(|(_, socket)| socket).collect(),
            ..Run::default()
        })
    }

    fn describe_left(&self, tree: &Tree, left: &Left) -> LeftOpen {
        let process = tree.process(left.pid, left.at_ns);
        LeftOpen {
            pid: left.pid,
            comm: process.map(|process| self.comm_of_member(left.pid, process)).unwrap_or_default(),
            signal: process.and_then(|process| ended(process).1),
            at_s: self.since_start(left.at_ns),
            socket: self.placed_now(&left.socket),
        }
    }

    /// A socket with the call site that it belongs to by now.
    fn placed_now(&self, socket: &Socket) -> Socket {
        Socket { callsite: socket.callsite.map(|id| self.sites.united(id)), ..socket.clone() }
    }

    fn describe_processes(&self, tree: &Tree, left: &HashMap<u32, u64>) -> Vec<RunProcess> {
        let openers: HashSet<u32> = self.sites.iter().flat_map(|site| site.pids.iter().copied()).collect();
        let open: HashMap<u32, u64> = self.processes.rows().map(|row| (row.tgid, u64::from(row.sockets))).collect();
        let mut processes: Vec<RunProcess> = tree
            .processes
            .iter()
            .map(|((pid, started_ns), process)| {
                let (exit_status, signal) = ended(process);
                let runs = process.exited_ns == 0;
                RunProcess {
                    pid: *pid,
                    parent: process.parent,
                    comm: self.comm_of_member(*pid, process),
                    exe: self.facts.get(pid).and_then(|facts| facts.exe.clone()),
                    started_s: self.since_start(*started_ns),
                    exited_s: (!runs).then(|| self.since_start(process.exited_ns)),
                    exit_status,
                    signal,
                    left_open: left.get(pid).copied().unwrap_or(0),
                    open: runs.then(|| open.get(pid).copied().unwrap_or(0)),
                }
            })
            .filter(|process| process.open.is_some() || process.left_open > 0 || openers.contains(&process.pid))
            .collect();
        processes.sort_by_key(|process| (Reverse(process.left_open), Reverse(process.open), process.pid));
        processes
    }

    fn comm_of_member(&self, pid: u32, process: &TreeProcess) -> String {
        let known = text(&process.comm);
        if known.is_empty() { self.comm_of(pid) } else { known }
    }

    fn since_start(&self, boot_ns: u64) -> f64 {
        let start = self.window_start.unwrap_or(self.now);
        boot_ns.saturating_sub(start.boot_ns) as f64 / 1e9
    }
}

/// Exit status as a shell gives it, and the signal that was the cause; nothing for a process that runs.
fn ended(process: &TreeProcess) -> (Option<u32>, Option<u32>) {
    if process.exited_ns == 0 {
        return (None, None);
    }
    match process.exit_code & 0x7f {
        0 => (Some(process.exit_code >> 8 & 0xff), None),
        signal => (Some(128 + signal), Some(signal)),
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
