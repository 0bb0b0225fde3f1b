//! Claims about [`matching`](super): what reports say of call sites under filters and an ignore list, from made-up samples.

use super::*;
use crate::TrackerOptions;
use leaktrace_common::{
    CallsiteCounters, CallsiteKey, Direction, PassSettings, PassSums, SocketRow, Tally, emit, lifetime_bucket,
};
use leaktrace_model::{host::Placement, sample::Sample, snapshot::Callsite};
use zerocopy::FromZeros;

const LIFETIME_NS: u64 = 1_000_000_000;

fn facts(pid: u32, comm: &str) -> ProcessFacts {
    ProcessFacts { pid, comm: comm.to_owned(), exe: Some(format!("/usr/bin/{comm}")), ..ProcessFacts::default() }
}

/// A process that has opened so many sockets, and closed all but `open`.
fn opener(index: u32, tgid: u32, opened: u64, open: u64) -> (u32, CallsiteCounters) {
    let key = CallsiteKey { stack_hash: 1, tgid, direction: Direction::Connect.raw().into() };
    let mut tally = Tally { opened, longest_ns: LIFETIME_NS, ..Tally::new_zeroed() };
    tally.lifetimes[lifetime_bucket(LIFETIME_NS)] = opened - open;
    (index, CallsiteCounters { key, tally, ..CallsiteCounters::new_zeroed() })
}

fn sample(callsites: Vec<(u32, CallsiteCounters)>, processes: Vec<ProcessFacts>) -> Sample {
    let limits = PassSettings { emit: emit::ALL, ..PassSettings::default() };
    Sample { callsites, processes, limits, ..Sample::default() }
}

fn tracker(filter: Filter, ignore: Vec<Filter>) -> Tracker {
    Tracker::new(TrackerOptions { filter, ignore, ..TrackerOptions::default() })
}

fn counts(site: &Callsite) -> (u64, u64, u64) {
    (site.opened, site.closed, site.lifetime_s.as_ref().map_or(0, |lifetimes| lifetimes.count))
}

/// A program that is run a hundred times, one connection each.
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

/// One program in two containers: 7 in `aaa` has three sockets open, 8 in `bbb` has two.
fn in_two_containers(emit: u32) -> Sample {
    let contained = |pid, container: &str| {
        let placement = Placement { container: Some(container.to_owned()), ..Placement::default() };
        ProcessFacts { placement, ..facts(pid, "api") }
    };
    let mut sites = vec![opener(1, 7, 10, 3), opener(2, 8, 20, 2)];
    for ((_, counters), open) in sites.iter_mut().zip([3, 2]) {
        counters.sums = PassSums { pass: 5, open, ..PassSums::default() };
    }
    let row = |sk, callsite| SocketRow { sk, callsite, state: 1, ..SocketRow::default() };
    let sockets = vec![row(1, 1), row(2, 1), row(3, 1), row(4, 2), row(5, 2)];
    let limits = PassSettings { emit, pass: 5, ..PassSettings::default() };
    let sockets = if emit == emit::ALL { sockets } else { Vec::new() };
    Sample { limits, sockets, ..sample(sites, vec![contained(7, "aaa"), contained(8, "bbb")]) }
}

#[test]
fn one_container_that_is_ignored_leaves_the_others_of_the_same_program() {
    for emit in [emit::ALL, 0] {
        let ignored = |containers: &[&str]| {
            let containers = containers.iter().map(|one| (*one).to_owned()).collect();
            let mut tracker = tracker(Filter::default(), vec![Filter { containers, ..Filter::default() }]);
            tracker.ingest(in_two_containers(emit));
            let sites = tracker.snapshot().callsites.into_iter();
            sites.map(|site| (site.pids, site.open, site.opened, site.closed)).collect::<Vec<_>>()
        };
        assert_eq!(ignored(&["ccc"]), [(vec![7, 8], 5, 30, 25)], "emit {emit}");
        assert_eq!(ignored(&["aaa"]), [(vec![8], 2, 20, 18)], "emit {emit}");
        assert_eq!(ignored(&["aaa", "bbb"]), [], "emit {emit}");
    }
}

#[test]
fn a_process_of_which_nothing_is_known_is_ignored_with_its_program() {
    let ignore = Filter { comms: vec!["api".to_owned()], ..Filter::default() };
    let mut tracker = tracker(Filter::default(), vec![ignore]);
    let mut sample = in_two_containers(emit::ALL);
    sample.processes.clear();
    for (_, counters) in &mut sample.callsites {
        counters.comm[..3].copy_from_slice(b"api");
    }
    tracker.ingest(sample);
    assert!(tracker.snapshot().callsites.is_empty());
}
