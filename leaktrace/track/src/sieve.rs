//! The sieve: what the filters let through of a sample, before it is recorded. A recording is handed to others, who should not learn more
//! of the host than was asked for.
//!
//! The tracker of a recording watch gets the same samples, so a replay cannot differ from the live report. The sieve lets through a little
//! more than reports show and never less: what a process or a call site has in common with a socket that matches. Sums over the whole host
//! stay, as they name nothing.

use leaktrace_model::{
    CallsiteStack, Candidate, Direction, Filter, Holders, Observed, ProcessFacts, Sample, SiteCounters, SiteKey,
};
use std::collections::{HashMap, HashSet};

/// Most processes that are known before those that are not in use are forgotten.
const MOST_PROCESSES: usize = 65_536;

/// A call site in use.
#[derive(Clone, Debug)]
struct Site {
    counters: SiteCounters,
    /// Its stack, as long as it is held back.
    stack: Option<CallsiteStack>,
    /// Whether it was let through once: it stays, or its counts would jump.
    is_through: bool,
}

impl Site {
    /// The process that opened sockets here, if that was seen.
    fn opener(&self) -> Option<u32> {
        let SiteKey { pid, direction, .. } = self.counters.key;
        (direction != Direction::Unknown && pid != 0).then_some(pid)
    }
}

/// What is known of the host, to decide about the next sample.
#[derive(Clone, Debug, Default)]
pub struct Sieve {
    filter: Filter,
    facts: HashMap<u32, ProcessFacts>,
    sites: HashMap<u32, Site>,
    /// Processes that hold each socket, from the last holders pass.
    holders: HashMap<u64, Vec<u32>>,
    /// Processes that were let through.
    through: HashSet<u32>,
}

impl Sieve {
    /// A sieve for these filters.
    pub fn new(filter: Filter) -> Self {
        Self { filter, ..Self::default() }
    }

    /// Removes from a sample what the filters do not let through. Adds what earlier samples had and what is needed only now.
    pub fn sift(&mut self, sample: &mut Sample) {
        if self.filter.is_empty() {
            return;
        }
        self.learn(sample);
        let mut pids = HashSet::new();
        sample.sockets.retain(|socket| self.lets_socket_through(socket, &mut pids));
        self.sift_sites(sample, &mut pids);
        if let Some(holders) = &mut sample.holders {
            let shown: HashSet<u64> = sample.sockets.iter().map(|socket| socket.sk).collect();
            holders.rows.retain(|holder| shown.contains(&holder.sk));
            self.sift_processes(holders, &mut pids);
        }
        let is_new: HashSet<u32> = sample.processes.iter().map(|facts| facts.pid).collect();
        pids.extend(is_new.iter().filter(|pid| self.through.contains(pid)));
        let wanted = pids.iter().filter(|pid| is_new.contains(pid) || !self.through.contains(pid));
        let mut processes: Vec<_> = wanted.filter_map(|pid| self.facts.get(pid)).cloned().collect();
        processes.sort_unstable_by_key(|facts| facts.pid);
        self.through.extend(processes.iter().map(|facts| facts.pid));
        sample.processes = processes;
        self.forget();
    }

    fn learn(&mut self, sample: &mut Sample) {
        self.facts.extend(sample.processes.iter().map(|facts| (facts.pid, facts.clone())));
        let mut before = std::mem::take(&mut self.sites);
        for (index, counters) in &sample.callsites {
            let known = before.remove(index).filter(|site| site.counters.key == counters.key);
            let (stack, is_through) = known.map_or((None, false), |site| (site.stack, site.is_through));
            self.sites.insert(*index, Site { counters: *counters, stack, is_through });
        }
        for stack in sample.stacks.drain(..) {
            if let Some(site) = self.sites.get_mut(&stack.callsite) {
                site.stack = Some(stack);
            }
        }
        if let Some(holders) = &sample.holders {
            self.holders.clear();
            for holder in &holders.rows {
                self.holders.entry(holder.sk).or_default().push(holder.pid);
            }
        }
    }

    /// Whether a socket matches. If so, its processes are added to `pids`, and its call site is let through.
    fn lets_socket_through(&mut self, socket: &Observed, pids: &mut HashSet<u32>) -> bool {
        let site = self.sites.get(&socket.callsite);
        let opener = site.and_then(Site::opener);
        let comm = site.filter(|_| opener.is_some()).map(|site| site.counters.comm.text()).unwrap_or_default();
        let mut involved = self.holders.get(&socket.sk).cloned().unwrap_or_default();
        involved.extend(opener);
        involved.extend(socket.held_by.map(|(pid, _)| pid));
        let is_through = self.filter.matches(&Candidate {
            socket: Some(socket),
            pids: &involved,
            processes: &self.facts_of(&involved),
            comm: &comm,
            direction: Some(socket.direction),
        });
        if is_through {
            pids.extend(involved);
            if let Some(site) = self.sites.get_mut(&socket.callsite) {
                site.is_through = true;
            }
        }
        is_through
    }

    /// Lets through the call sites of matching sockets and those that match by themselves, with the stacks that were held back.
    fn sift_sites(&mut self, sample: &mut Sample, pids: &mut HashSet<u32>) {
        let mut stacks = Vec::new();
        sample.callsites.retain(|(index, counters)| {
            let matches = !self.filter.needs_sockets()
                && self.filter.matches(&Candidate {
                    socket: None,
                    pids: &[counters.key.pid],
                    processes: &self.facts_of(&[counters.key.pid]),
                    comm: &counters.comm.text(),
                    direction: Some(counters.key.direction),
                });
            let Some(site) = self.sites.get_mut(index) else { return false };
            site.is_through |= matches;
            if site.is_through {
                stacks.extend(site.stack.take());
                pids.extend(site.opener());
            }
            site.is_through
        });
        sample.stacks = stacks;
    }

    /// Lets through the processes of matching sockets and those that match by themselves. One that was let through stays, or its history
    /// would have gaps.
    fn sift_processes(&self, holders: &mut Holders, pids: &mut HashSet<u32>) {
        // Ports, peers and directions are properties of sockets.
        let by_socket = self.filter.needs_sockets() || !self.filter.directions.is_empty();
        holders.processes.retain(|process| {
            let matches = !by_socket
                && self.filter.matches(&Candidate {
                    socket: None,
                    pids: &[process.pid],
                    processes: &self.facts_of(&[process.pid]),
                    comm: &process.comm.text(),
                    direction: None,
                });
            if matches {
                pids.insert(process.pid);
            }
            pids.contains(&process.pid) || self.through.contains(&process.pid)
        });
    }

    fn facts_of(&self, pids: &[u32]) -> Vec<&ProcessFacts> {
        pids.iter().filter_map(|pid| self.facts.get(pid)).collect()
    }

    /// Keeps processes only while a call site or a socket refers to them, if there are very many.
    fn forget(&mut self) {
        if self.facts.len() > MOST_PROCESSES {
            let openers = self.sites.values().map(|site| site.counters.key.pid);
            let in_use: HashSet<u32> = openers.chain(self.holders.values().flatten().copied()).collect();
            self.facts.retain(|pid, _| in_use.contains(pid));
            self.through.retain(|pid| in_use.contains(pid));
        }
    }
}

#[cfg(test)]
mod tests;
