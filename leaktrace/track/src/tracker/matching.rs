//! What the filters and the ignore list leave of a call site, decided for each process.

use super::Tracker;
use crate::sites::{Counts, Site};
use leaktrace_model::{Candidate, Filter, ProcessFacts};
use std::collections::BTreeSet;

/// How much of a call site the ignore list leaves, as far as its processes show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing: every process is ignored.
    Nothing,
    /// Some processes: the same program runs in several containers or units.
    Part,
    /// Everything.
    All,
}

impl Tracker {
    /// How much of a call site the ignore list leaves. [`Tracker::passes`] decides about entries that ask for sockets.
    pub(super) fn left_of(&self, site: &Site) -> Left {
        if self.ignore.iter().all(Filter::needs_sockets) {
            return Left::All;
        }
        let openers = self.sites.members(site).map(|counters| counters.key.pid);
        let openers: BTreeSet<u32> = openers.chain(site.pids.iter().copied()).collect();
        let is_followed = |pid: u32| self.tree.as_ref().is_none_or(|tree| tree.has(pid));
        // A process that ended too soon, so that nothing is known of it, counts like the others.
        let known = openers.into_iter().filter(|pid| is_followed(*pid) && self.facts.contains_key(pid));
        let (ignored, left): (Vec<u32>, Vec<u32>) = known.partition(|pid| self.ignores_process(site, *pid));
        match (ignored.is_empty(), left.is_empty()) {
            (true, true) if self.ignores_process(site, 0) => Left::Nothing,
            (false, true) => Left::Nothing,
            (false, false) => Left::Part,
            (true, _) => Left::All,
        }
    }

    /// Whether the ignore list leaves out a process at a call site, whatever its sockets are.
    pub(super) fn ignores_process(&self, site: &Site, pid: u32) -> bool {
        self.with_process(site, pid, |candidate| self.ignores(candidate))
    }

    /// Whether an entry of the ignore list matches that asks for no sockets.
    pub(super) fn ignores(&self, candidate: &Candidate<'_>) -> bool {
        self.ignore.iter().any(|ignore| !ignore.needs_sockets() && ignore.matches(candidate))
    }

    /// The processes of a call site that the filters and the ignore list let through.
    pub(super) fn matching_pids(&self, site: &Site, pids: &[u32]) -> Vec<u32> {
        let wanted = |pid: &u32| {
            let facts: Vec<&ProcessFacts> = self.facts.get(pid).into_iter().collect();
            let comm = facts.first().map_or("", |facts| facts.comm.as_str());
            let candidate = Candidate { socket: None, pids: &[*pid], processes: &facts, comm, direction: None };
            self.settings.filter.matches(&candidate) && !self.ignores_process(site, *pid)
        };
        let matching: Vec<u32> = pids.iter().copied().filter(wanted).collect();
        // If no opener matches, a holder does, and all openers are kept.
        if matching.is_empty() { pids.to_vec() } else { matching }
    }

    /// Counts of the processes of a call site that the filters and the ignore list let through.
    pub(super) fn counts_of_matching(&self, site: &Site) -> Counts {
        let mut counts = if self.lets_ended_through(site) { site.retired.clone() } else { Counts::default() };
        for counters in self.sites.members(site) {
            let passes =
                |candidate: &Candidate<'_>| self.settings.filter.matches(candidate) && !self.ignores(candidate);
            if self.with_process(site, counters.key.pid, passes) {
                counts.add(counters);
            }
        }
        counts
    }

    /// Whether the filters let through what ended processes did at a call site. Only what all of the call site have in
    /// common is known of them, not which process was where.
    fn lets_ended_through(&self, site: &Site) -> bool {
        let Filter { pids, containers, units, .. } = &self.settings.filter;
        let facts = ProcessFacts { comm: site.comm.clone(), exe: site.exe.clone(), ..ProcessFacts::default() };
        pids.is_empty()
            && containers.is_empty()
            && units.is_empty()
            && self.settings.filter.matches(&Candidate {
                processes: &[&facts],
                comm: &site.comm,
                direction: Some(site.direction),
                ..Candidate::default()
            })
    }

    /// Asks about one process at a call site.
    fn with_process<R>(&self, site: &Site, pid: u32, ask: impl FnOnce(&Candidate<'_>) -> R) -> R {
        let facts: Vec<&ProcessFacts> = self.facts.get(&pid).into_iter().collect();
        ask(&Candidate {
            socket: None,
            pids: &[pid],
            processes: &facts,
            comm: &site.comm,
            direction: Some(site.direction),
        })
    }
}

#[cfg(test)]
mod tests;
