//! One socket as reports show it, and whether it is shown.

use super::Tracker;
use leaktrace_model::{Candidate, Holder, Observed, ProcessFacts, Socket};

impl Tracker {
    /// Whether a socket matches the filters and is not ignored.
    pub(super) fn passes(&self, row: &Observed) -> bool {
        self.with_candidate(row, |candidate| {
            self.settings.filter.matches(candidate) && !self.ignore.iter().any(|ignore| ignore.matches(candidate))
        })
    }

    /// Whether a socket would be shown if it were not ignored.
    pub(super) fn is_ignored(&self, row: &Observed) -> bool {
        self.with_candidate(row, |candidate| {
            self.settings.filter.matches(candidate) && self.ignore.iter().any(|ignore| ignore.matches(candidate))
        })
    }

    fn with_candidate<R>(&self, row: &Observed, ask: impl FnOnce(&Candidate<'_>) -> R) -> R {
        let opener = self.sites.opener(row.callsite);
        let mut pids: Vec<u32> = self.processes.of_socket(row.sk).iter().map(|(pid, _)| *pid).collect();
        pids.extend(opener.map(|opener| opener.pid));
        pids.extend(row.held_by.map(|(pid, _)| pid));
        let comm = opener.as_ref().map(|opener| opener.comm.text()).unwrap_or_default();
        let processes: Vec<&ProcessFacts> = pids.iter().filter_map(|pid| self.facts.get(pid)).collect();
        ask(&Candidate {
            socket: Some(row),
            pids: &pids,
            processes: &processes,
            comm: &comm,
            direction: Some(row.direction),
        })
    }

    /// The name of a process; empty if nothing is known of it.
    pub(super) fn comm_of(&self, pid: u32) -> String {
        self.facts.get(&pid).map(|facts| facts.comm.clone()).unwrap_or_default()
    }

    /// A socket as reports show it.
    pub(super) fn describe(&self, row: &Observed) -> Socket {
        let opener = self.sites.opener(row.callsite);
        let mut holders = self.processes.describe(row.sk, |pid| self.comm_of(pid));
        if holders.is_empty()
            && let Some((pid, fd)) = row.held_by
        {
            holders.push(Holder { pid, comm: self.comm_of(pid), fd });
        }
        let process = holders.first().map(|holder| holder.pid).or(opener.map(|opener| opener.pid));
        let placement = process.and_then(|pid| self.facts.get(&pid)).map(|facts| &facts.placement);
        Socket {
            observed: *row,
            callsite: self.sites.of_index(row.callsite).map(|site| site.id),
            opener,
            holders,
            container: placement.and_then(|placement| placement.container.clone()),
        }
    }
}
