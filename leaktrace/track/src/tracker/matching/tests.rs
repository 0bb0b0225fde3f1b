//! Claims about [`matching`](super): what reports say of call sites under filters and an ignore list. The samples are
//! made up.

use super::*;
use crate::TrackerOptions;
use leaktrace_model::{
    Callsite, Comm, Direction, Observed, Pass, Placement, Sample, Settings, Shown, SiteCounters, SiteKey, Sums,
    TcpState,
};

const LIFETIME_NS: u64 = 1_000_000_000;

fn facts(pid: u32, comm: &str) -> ProcessFacts {
    ProcessFacts { pid, comm: comm.to_owned(), exe: Some(format!("/usr/bin/{comm}")), ..ProcessFacts::default() }
}

/// A process that has opened `opened` sockets, and closed all but `open`.
fn opener(index: u32, pid: u32, opened: u64, open: u64) -> (u32, SiteCounters) {
    let key = SiteKey { stack_hash: 1, pid, direction: Direction::Connect };
    let closed = opened - open;
    let mut counters = SiteCounters { key, opened, closed, longest_ns: LIFETIME_NS, ..SiteCounters::default() };
    // 2^30 ns is the end of class 20.
    counters.lifetimes[20] = closed;
    (index, counters)
}

fn sample(callsites: Vec<(u32, SiteCounters)>, processes: Vec<ProcessFacts>) -> Sample {
    let pass = Pass { shown: Shown::All, ..Pass::default() };
    Sample { callsites, processes, pass, ..Sample::default() }
}

fn tracker(filter: Filter, ignore: Vec<Filter>) -> Tracker {
    let settings = Settings { filter, ..Settings::default() };
    Tracker::new(TrackerOptions { settings, ignore, ..TrackerOptions::default() })
}

fn counts(site: &Callsite) -> (u64, u64, u64) {
    (site.opened, site.closed, site.lifetimes.as_ref().map_or(0, |lifetimes| lifetimes.count))
}

/// A program that runs a hundred times, with one connection each.
fn run_a_hundred_times(tracker: &mut Tracker) {
    for run in 0..100 {
        tracker.ingest(sample(vec![opener(1, 1000 + run, 1, 0)], vec![facts(1000 + run, "curl")]));
    }
    tracker.ingest(sample(Vec::new(), Vec::new()));
}

#[test]
fn what_ended_processes_did_passes_a_filter_on_what_their_call_site_is() {
    let comms = vec!["curl".to_owned()];
    let exes = vec!["curl".to_owned()];
    let directions = vec![Direction::Connect];
    for filter in [
        Filter::default(),
        Filter { comms, ..Filter::default() },
        Filter { exes, ..Filter::default() },
        Filter { directions, ..Filter::default() },
    ] {
        let mut tracker = tracker(filter.clone(), Vec::new());
        run_a_hundred_times(&mut tracker);
        let sites = tracker.snapshot().callsites;
        assert_eq!(sites.iter().map(counts).collect::<Vec<_>>(), [(100, 100, 100)], "{filter:?}");
    }
}

#[test]
fn what_ended_processes_did_is_not_taken_for_that_of_one() {
    let mut tracker = tracker(Filter { pids: vec![1099], ..Filter::default() }, Vec::new());
    run_a_hundred_times(&mut tracker);
    assert!(tracker.snapshot().callsites.is_empty());
}

#[test]
fn an_ignored_port_leaves_the_counts_of_other_programs_alone() {
    let ignore = Filter { comms: vec!["postgres".to_owned()], ports: vec![5432], ..Filter::default() };
    let mut tracker = tracker(Filter::default(), vec![ignore]);
    run_a_hundred_times(&mut tracker);
    assert_eq!(tracker.snapshot().callsites.iter().map(counts).collect::<Vec<_>>(), [(100, 100, 100)]);
}

/// One program in two containers: process 7 in `aaa` has three sockets open, process 8 in `bbb` has two.
fn in_two_containers(shown: Shown) -> Sample {
    let contained = |pid, container: &str| {
        let placement = Placement { container: Some(container.to_owned()), ..Placement::default() };
        ProcessFacts { placement, ..facts(pid, "api") }
    };
    let mut sites = vec![opener(1, 7, 10, 3), opener(2, 8, 20, 2)];
    for ((_, counters), open) in sites.iter_mut().zip([3, 2]) {
        (counters.pass, counters.sums) = (5, Sums { open, ..Sums::default() });
    }
    let row = |sk, callsite| Observed { sk, callsite, state: TcpState::Established, ..Observed::default() };
    let sockets = vec![row(1, 1), row(2, 1), row(3, 1), row(4, 2), row(5, 2)];
    let pass = Pass { shown, number: 5, ..Pass::default() };
    let sockets = if shown == Shown::All { sockets } else { Vec::new() };
    Sample { pass, sockets, ..sample(sites, vec![contained(7, "aaa"), contained(8, "bbb")]) }
}

#[test]
fn one_container_that_is_ignored_leaves_the_others_of_the_same_program() {
    for shown in [Shown::All, Shown::default()] {
        let ignored = |containers: &[&str]| {
            let containers = containers.iter().map(|one| (*one).to_owned()).collect();
            let mut tracker = tracker(Filter::default(), vec![Filter { containers, ..Filter::default() }]);
            tracker.ingest(in_two_containers(shown));
            let sites = tracker.snapshot().callsites.into_iter();
            sites.map(|site| (site.pids, site.sums.open, site.opened, site.closed)).collect::<Vec<_>>()
        };
        assert_eq!(ignored(&["ccc"]), [(vec![7, 8], 5, 30, 25)], "{shown:?}");
        assert_eq!(ignored(&["aaa"]), [(vec![8], 2, 20, 18)], "{shown:?}");
        assert_eq!(ignored(&["aaa", "bbb"]), [], "{shown:?}");
    }
}

#[test]
fn a_process_of_which_nothing_is_known_is_ignored_with_its_program() {
    let ignore = Filter { comms: vec!["api".to_owned()], ..Filter::default() };
    let mut tracker = tracker(Filter::default(), vec![ignore]);
    let mut sample = in_two_containers(Shown::All);
    sample.processes.clear();
    for (_, counters) in &mut sample.callsites {
        counters.comm = Comm::new("api");
    }
    tracker.ingest(sample);
    assert!(tracker.snapshot().callsites.is_empty());
}
