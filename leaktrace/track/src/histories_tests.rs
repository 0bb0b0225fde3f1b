//! Claims about [`histories`](super): what grows under filters and an ignore list, from made-up samples.

use super::*;
use crate::TrackerOptions;
use leaktrace_common::{CallsiteCounters, CallsiteKey, Direction, PassSettings, PassSums, Tally, emit};
use leaktrace_model::{
    host::{Placement, ProcessFacts},
    sample::Sample,
    snapshot::Snapshot,
};
use zerocopy::FromZeros;

const SECOND: u64 = 1_000_000_000;

/// One program in two containers: 7 in `aaa` loses a socket to port 5432 each ten seconds, 8 in `bbb` keeps five to port 443.
fn sample(second: u64, emit: u32) -> Sample {
    let placed = |pid, container: &str| {
        let placement = Placement { container: Some(container.to_owned()), ..Placement::default() };
        ProcessFacts { pid, comm: "api".to_owned(), placement, ..ProcessFacts::default() }
    };
    let site = |index: u32, tgid, open: u64| {
        let key = CallsiteKey { stack_hash: 1, tgid, direction: Direction::Connect.raw().into() };
        let tally = Tally { opened: open, ..Tally::new_zeroed() };
        let sums = PassSums { pass: second as u32, open: open as u32, ..PassSums::default() };
        (index, CallsiteCounters { key, tally, sums, ..CallsiteCounters::new_zeroed() })
    };
    let row = |sk, callsite, remote_port| SocketRow {
        sk,
        callsite,
        remote_port,
        direction: Direction::Connect.raw(),
        state: 1,
        ..SocketRow::default()
    };
    let lost = second / 10;
    let mut sockets: Vec<_> = (0..lost).map(|nth| row(100 + nth, 1, 5432)).collect();
    sockets.extend((0..5).map(|nth| row(nth, 2, 443)));
    Sample {
        boot_ns: second * SECOND,
        limits: PassSettings { pass: second as u16, threshold_ns: 3600 * SECOND, emit, ..PassSettings::default() },
        callsites: vec![site(1, 7, lost), site(2, 8, 5)],
        sockets: if emit == emit::ALL { sockets } else { Vec::new() },
        processes: vec![placed(7, "aaa"), placed(8, "bbb")],
        ..Sample::default()
    }
}

fn watched(filter: &Filter, ignore: &[Filter], emit: u32) -> Snapshot {
    let options = TrackerOptions { filter: filter.clone(), ignore: ignore.to_vec(), ..TrackerOptions::default() };
    let mut tracker = Tracker::new(options);
    (1..=300).for_each(|second| tracker.ingest(sample(second, emit)));
    tracker.snapshot()
}

/// Whether the call site grows, and which peers do.
fn growing(snapshot: &Snapshot) -> (Option<bool>, Vec<(&str, Option<bool>)>) {
    let peers = snapshot.peers.iter().map(|peer| (peer.name.as_str(), peer.growing)).collect();
    (snapshot.callsites.first().and_then(|site| site.growing), peers)
}

#[test]
fn what_grows_is_what_a_filter_lets_through() {
    let (leak, pool) = (("0.0.0.0:5432", Some(true)), ("0.0.0.0:443", Some(false)));
    let container = |id: &str| Filter { containers: vec![id.to_owned()], ..Filter::default() };
    let port = |port| Filter { ports: vec![port], ..Filter::default() };
    let found = |filter| growing(&watched(&filter, &[], emit::ALL)).0;
    assert_eq!(growing(&watched(&Filter::default(), &[], emit::ALL)), (Some(true), vec![leak, pool]));
    for filter in [container("aaa"), port(5432)] {
        assert_eq!(growing(&watched(&filter, &[], emit::ALL)), (Some(true), vec![leak]), "{filter:?}");
    }
    for filter in [container("bbb"), port(443)] {
        assert_eq!(growing(&watched(&filter, &[], emit::ALL)), (Some(false), vec![pool]), "{filter:?}");
    }
    assert_eq!(found(Filter { pids: vec![8], ..Filter::default() }), Some(false));
}

#[test]
fn what_is_ignored_does_not_grow() {
    let container = Filter { containers: vec!["aaa".to_owned()], ..Filter::default() };
    let port = Filter { ports: vec![5432], ..Filter::default() };
    let pool = ("0.0.0.0:443", Some(false));
    for ignore in [container.clone(), port] {
        let snapshot = watched(&Filter::default(), std::slice::from_ref(&ignore), emit::ALL);
        assert_eq!(growing(&snapshot), (Some(false), vec![pool]), "{ignore:?}");
    }
    // On a large host, by what the kernel side has counted.
    assert_eq!(growing(&watched(&Filter::default(), &[container], 0)), (Some(false), vec![]));
    assert_eq!(growing(&watched(&Filter::default(), &[], 0)), (Some(true), vec![]));
}

#[test]
fn nothing_is_said_of_growth_where_what_a_filter_lets_through_is_not_seen() {
    let pids = Filter { pids: vec![7], ..Filter::default() };
    let snapshot = watched(&pids, &[], 0);
    assert_eq!((snapshot.callsites.len(), growing(&snapshot).0), (1, None));
}
