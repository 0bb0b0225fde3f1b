//! What must be true of a whole report, whatever runs: every name of the contract, sums that add up, nothing lost.

use super::report::{Report, Socket};
use crate::truth::Truth;
use std::collections::BTreeSet;

/// Sums that do not add up. The report must have been made with `--all`.
pub fn sums(report: &Report) -> Vec<String> {
    let mut list = Vec::new();
    let mut differ = |what: &str, found: u64, right: u64| {
        if found != right {
            list.push(format!("{what}: {found}, not {right}"));
        }
    };
    let flagged = report.sockets.iter().filter(|socket| !socket.verdicts.is_empty()).count() as u64;
    differ("totals.flagged against sockets with a verdict", report.totals.flagged, flagged);
    differ("totals.open against sockets", report.totals.open, report.sockets.len() as u64);
    differ("totals.open against call sites", report.callsites.iter().map(|site| site.open).sum(), report.totals.open);
    differ("totals.flagged against call sites", report.callsites.iter().map(|site| site.flagged).sum(), flagged);
    let waiting = report.sockets.iter().map(|socket| socket.rx_queue_bytes).sum();
    differ("totals.rx_queue_bytes against sockets", report.totals.rx_queue_bytes, waiting);
    let memory = report.sockets.iter().map(|socket| socket.memory_bytes).sum();
    differ("totals.memory_bytes against sockets", report.totals.memory_bytes, memory);
    list
}

/// How many stacks the suite's own programs have, and how many of them are complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stacks {
    /// Walked to the start of the thread.
    pub complete: usize,
    /// All.
    pub all: usize,
}

impl Stacks {
    /// Most incomplete ones, in percent.
    const MOST: usize = 5;

    /// This number may be incomplete however few stacks there are: of 20 in a virtual machine one is, on every kernel of the matrix.
    const FEW: usize = 2;

    /// Stacks of call sites in these processes. Sockets that are older than the tracer have none.
    pub fn count(report: &Report, pids: &BTreeSet<u32>) -> Self {
        let sites = report.callsites.iter().filter(|site| site.direction != "unknown");
        let ours: Vec<_> = sites.filter(|site| site.pids.iter().any(|pid| pids.contains(pid))).collect();
        let complete = ours.iter().filter(|site| site.stack_quality == "complete").count();
        Self { complete, all: ours.len() }
    }

    /// Whether enough are complete.
    pub fn complaints(self) -> Vec<String> {
        let most = Self::FEW.max(self.all * Self::MOST / 100);
        match self.all - self.complete <= most {
            true => Vec::new(),
            false => vec![format!("{self}: more than {most} are not")],
        }
    }
}

impl std::fmt::Display for Stacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stacks: {} of {} complete", self.complete, self.all)
    }
}

/// Sockets listed twice, or in the wrong order.
pub fn listing(report: &Report) -> Vec<String> {
    let mut list = Vec::new();
    let mut cookies = BTreeSet::new();
    let numbered = report.sockets.iter().filter_map(|socket| socket.cookie).filter(|cookie| *cookie != 0);
    let twice = numbered.filter(|cookie| !cookies.insert(*cookie)).count();
    if twice > 0 {
        list.push(format!("{twice} sockets are listed twice"));
    }
    let ids: BTreeSet<u64> = report.callsites.iter().map(|site| site.id).collect();
    let homeless = report.sockets.iter().filter_map(|socket| socket.callsite).filter(|id| !ids.contains(id)).count();
    if homeless > 0 {
        list.push(format!("{homeless} sockets name a call site that is not in the report"));
    }
    let worst = |socket: &Socket| {
        let rank =
            |name: &String| ["leak", "suspect", "info"].iter().position(|word| *word == crate::truth::severity(name));
        socket.verdicts.iter().filter_map(rank).min().unwrap_or(3)
    };
    if !report.sockets.is_sorted_by_key(worst) {
        list.push("sockets are not listed worst first".to_owned());
    }
    list
}

/// Anything that the tracer lost. The suite is too small for any loss.
pub fn losses(report: &Report, hook: &str) -> Vec<String> {
    let mut list = Vec::new();
    let lost = &report.health.lost;
    if lost.sockets_unattributed + lost.stacks + lost.samples + lost.captures > 0 {
        list.push(format!("{lost:?}"));
    }
    if report.health.hooks != hook {
        list.push(format!("hooks {}, not {hook}", report.health.hooks));
    }
    list
}

/// Verdicts that went away must be counted: at least one for each mended socket.
pub fn resolved(report: &Report, mended: &[Truth]) -> Vec<String> {
    let right: u64 = mended.iter().flat_map(|truth| &truth.expect).filter_map(|class| class.count).sum();
    match report.health.resolved >= right {
        true => Vec::new(),
        false => vec![format!("{} verdicts resolved, not {right} or more", report.health.resolved)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_incomplete_stacks_are_no_failure_and_more_are_however_few_there_are() {
        let bad = |complete, all| !Stacks { complete, all }.complaints().is_empty();
        assert!(!bad(0, 0) && !bad(18, 20) && !bad(95, 99));
        assert!(bad(16, 19) && bad(17, 20) && bad(94, 99));
    }
}
