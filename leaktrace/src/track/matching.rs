//! What the filters and the ignore list leave of a call site, where its processes are told apart.

use super::{
    Tracker,
    filter::{Candidate, Filter},
    sites::{Counts, Site},
};
use crate::host::ProcessFacts;

impl Tracker {
    /// The processes of a call site that the filters let through.
    pub(super) fn matching_pids(&self, pids: &[u32]) -> Vec<u32> {
        let wanted = |pid: &u32| {
            let facts: Vec<&ProcessFacts> = self.facts.get(pid).into_iter().collect();
            let comm = facts.first().map_or("", |facts| facts.comm.as_str());
            self.filter.matches(&Candidate { socket: None, pids: &[*pid], processes: &facts, comm, direction: None })
        };
        let matching: Vec<u32> = pids.iter().copied().filter(wanted).collect();
        // What was opened by another and is held by one that matches keeps its openers.
        if matching.is_empty() { pids.to_vec() } else { matching }
    }

    /// Counts of those processes of a call site that the filters let through.
    pub(super) fn counts_of_matching(&self, site: &Site) -> Counts {
        let mut counts = if self.lets_ended_through(site) { site.retired.clone() } else { Counts::default() };
        for counters in self.sites.members(site) {
            if self.with_process(site, counters.key.tgid, |candidate| self.filter.matches(candidate)) {
                counts.add(counters);
            }
        }
        counts
    }

    /// Whether the filters let through what processes that have ended did at a call site. Of those is known what all of the call
    /// site have in common, not which was where.
    fn lets_ended_through(&self, site: &Site) -> bool {
        let Filter { pids, containers, units, .. } = &self.filter;
        let facts = ProcessFacts { comm: site.comm.clone(), exe: site.exe.clone(), ..ProcessFacts::default() };
        pids.is_empty()
            && containers.is_empty()
            && units.is_empty()
            && self.filter.matches(&Candidate {
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
#[path = "matching_tests.rs"]
mod tests;
