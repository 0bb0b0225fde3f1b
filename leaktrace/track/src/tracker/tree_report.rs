//! The tree of a command: how samples add to it, and what a report says of it.

use super::Tracker;
use crate::tree::{Left, MOST_KEPT, Tree};
use leaktrace_model::{
    LeftOpen, LeftSocket, Run, RunProcess, Socket, TreeProcess, TreeSample, VerdictCounts, Verdicts, seconds,
};
use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

impl Tracker {
    /// Takes in the tree of a sample, after its rows and call sites.
    pub(super) fn ingest_tree(&mut self, sample: Option<TreeSample>) {
        // The tree asks the rest of the tracker about sockets; the rest asks nothing of the tree.
        let Some(mut tree) = self.tree.take() else { return };
        let TreeSample { processes, left } = sample.unwrap_or_default();
        tree.ingest(processes);
        tree.rows += left.len() as u64;
        let rows = self.rows.iter().map(|row| (row, self.now.boot_ns));
        let dead = self.dead.iter().map(|row| (row, self.dead_ns));
        for (row, now_ns) in rows.chain(dead).filter(|(row, _)| !row.verdicts.is_empty() && self.passes(row)) {
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

    fn keep_left(&self, tree: &mut Tree, left: &LeftSocket) {
        if !self.passes(&left.socket) {
            return;
        }
        tree.matching += 1;
        if !left.socket.verdicts.is_empty() {
            tree.flag(&left.socket, left.at_ns, || self.describe(&left.socket));
        }
        if tree.left.len() < MOST_KEPT {
            tree.left.push(Left { pid: left.pid, at_ns: left.at_ns, socket: self.describe(&left.socket) });
        }
    }

    /// What a report says of the tree. The caller adds the command itself and its exit status.
    pub(super) fn describe_tree(&self) -> Option<Run> {
        let tree = self.tree.as_ref()?;
        let mut left: Vec<LeftOpen> = tree.left.iter().map(|left| self.describe_left(tree, left)).collect();
        for row in tree.unplaced.iter().filter(|row| self.passes(&row.socket)) {
            let left_row = Left { pid: row.pid, at_ns: row.at_ns, socket: self.describe(&row.socket) };
            left.push(self.describe_left(tree, &left_row));
        }
        let mut left_by_process: HashMap<u32, u64> = HashMap::new();
        for left in &left {
            *left_by_process.entry(left.pid).or_default() += 1;
        }
        let closed_by_exit: u64 = tree.processes.values().map(|process| process.left_open).sum();
        let lost = closed_by_exit.saturating_sub(tree.rows);
        let beyond = tree.matching.saturating_sub(tree.left.len() as u64);
        let mut verdicts = VerdictCounts::default();
        tree.flagged.values().for_each(|(all, _)| verdicts.add(*all));
        let mut flagged: Vec<(&Verdicts, Socket)> =
            tree.flagged.values().map(|(all, socket)| (all, self.placed_now(socket))).collect();
        flagged.sort_by_key(|(all, socket)| Reverse((all.severity(), socket.observed.age_ns)));
        Some(Run {
            processes_total: tree.processes.len() as u64 + tree.forgotten,
            processes_running: tree.processes.values().filter(|process| process.exited_ns.is_none()).count() as u64,
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

    /// A socket with the call site that it belongs to now.
    fn placed_now(&self, socket: &Socket) -> Socket {
        Socket { callsite: socket.callsite.map(|id| self.sites.united(id)), ..socket.clone() }
    }

    fn describe_processes(&self, tree: &Tree, left: &HashMap<u32, u64>) -> Vec<RunProcess> {
        let openers: HashSet<u32> = self.sites.iter().flat_map(|site| site.pids.iter().copied()).collect();
        let open: HashMap<u32, u64> = self.processes.rows().map(|row| (row.pid, u64::from(row.sockets))).collect();
        let mut processes: Vec<RunProcess> = tree
            .processes
            .iter()
            .map(|((pid, started_ns), process)| {
                let (exit_status, signal) = ended(process);
                let runs = process.exited_ns.is_none();
                RunProcess {
                    pid: *pid,
                    parent: process.parent,
                    comm: self.comm_of_member(*pid, process),
                    exe: self.facts.get(pid).and_then(|facts| facts.exe.clone()),
                    started_s: self.since_start(*started_ns),
                    exited_s: process.exited_ns.map(|exited_ns| self.since_start(exited_ns)),
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
        if process.comm.is_empty() { self.comm_of(pid) } else { process.comm.to_string() }
    }

    fn since_start(&self, boot_ns: u64) -> f64 {
        let start = self.window_start.unwrap_or(self.now);
        seconds(boot_ns.saturating_sub(start.boot_ns))
    }
}

/// Exit status as a shell gives it, and the signal that caused it; nothing for a process that runs.
fn ended(process: &TreeProcess) -> (Option<u32>, Option<u32>) {
    if process.exited_ns.is_none() {
        return (None, None);
    }
    match process.exit_code & 0x7f {
        0 => (Some(process.exit_code >> 8 & 0xff), None),
        signal => (Some(128 + signal), Some(signal)),
    }
}

#[cfg(test)]
mod tests;
