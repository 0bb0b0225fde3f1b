//! Claims about [`histories`](super): what grows under filters and an ignore list. The samples are made up.

use super::*;
use crate::TrackerOptions;
use leaktrace_model::{
    Direction, Limits, Moment, Pass, Placement, ProcessFacts, Sample, Settings, Shown, SiteCounters, SiteKey, Snapshot,
    Sums, TcpState,
};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

const SECOND: u64 = 1_000_000_000;

/// One program in two containers: process 7 in `aaa` leaks a socket to port 5432 every ten seconds, process 8 in `bbb`
/// keeps five to port 443.
fn sample(second: u64, shown: Shown) -> Sample {
    let placed = |pid, container: &str| {
        let placement = Placement { container: Some(container.to_owned()), ..Placement::default() };
        ProcessFacts { pid, comm: "api".to_owned(), placement, ..ProcessFacts::default() }
    };
    let site = |index: u32, pid, open: u64| {
        let key = SiteKey { stack_hash: 1, pid, direction: Direction::Connect };
        let sums = Sums { open, ..Sums::default() };
        (index, SiteCounters { key, opened: open, pass: second as u32, sums, ..SiteCounters::default() })
    };
    let row = |sk, callsite, port| Observed {
        sk,
        callsite,
        remote: SocketAddr::new(IpAddr::from([0; 4]), port),
        direction: Direction::Connect,
        state: TcpState::Established,
        ..Observed::default()
    };
    let lost = second / 10;
    let mut sockets: Vec<_> = (0..lost).map(|nth| row(100 + nth, 1, 5432)).collect();
    sockets.extend((0..5).map(|nth| row(nth, 2, 443)));
    Sample {
        at: Moment { boot_ns: second * SECOND, unix_ns: 0 },
        pass: Pass {
            number: second as u16,
            limits: Limits { threshold: Duration::from_secs(3600), ..Limits::default() },
            shown,
            ..Pass::default()
        },
        callsites: vec![site(1, 7, lost), site(2, 8, 5)],
        sockets: if shown == Shown::All { sockets } else { Vec::new() },
        processes: vec![placed(7, "aaa"), placed(8, "bbb")],
        ..Sample::default()
    }
}

fn watched(filter: &Filter, ignore: &[Filter], shown: Shown) -> Snapshot {
    let settings = Settings { filter: filter.clone(), ..Settings::default() };
    let options = TrackerOptions { settings, ignore: ignore.to_vec(), ..TrackerOptions::default() };
    let mut tracker = Tracker::new(options);
    (1..=300).for_each(|second| tracker.ingest(sample(second, shown)));
    tracker.snapshot()
}

/// Whether the call site grows, and which peers do.
fn growing(snapshot: &Snapshot) -> (Option<bool>, Vec<(String, Option<bool>)>) {
    let peers =
        snapshot.peers.iter().map(|peer| (peer.key.to_string(), peer.trend.map(|trend| trend.growing))).collect();
    (snapshot.callsites.first().and_then(|site| site.trend).map(|trend| trend.growing), peers)
}

#[test]
fn what_grows_is_what_a_filter_lets_through() {
    let named = |name: &str, growing| (name.to_owned(), Some(growing));
    let (leak, pool) = (named("0.0.0.0:5432", true), named("0.0.0.0:443", false));
    let container = |id: &str| Filter { containers: vec![id.to_owned()], ..Filter::default() };
    let port = |port| Filter { ports: vec![port], ..Filter::default() };
    let found = |filter| growing(&watched(&filter, &[], Shown::All)).0;
    assert_eq!(growing(&watched(&Filter::default(), &[], Shown::All)), (Some(true), vec![leak.clone(), pool.clone()]));
    for filter in [container("aaa"), port(5432)] {
        assert_eq!(growing(&watched(&filter, &[], Shown::All)), (Some(true), vec![leak.clone()]), "{filter:?}");
    }
    for filter in [container("bbb"), port(443)] {
        assert_eq!(growing(&watched(&filter, &[], Shown::All)), (Some(false), vec![pool.clone()]), "{filter:?}");
    }
    assert_eq!(found(Filter { pids: vec![8], ..Filter::default() }), Some(false));
}

#[test]
fn what_is_ignored_does_not_grow() {
    let container = Filter { containers: vec!["aaa".to_owned()], ..Filter::default() };
    let port = Filter { ports: vec![5432], ..Filter::default() };
    let pool = ("0.0.0.0:443".to_owned(), Some(false));
    for ignore in [container.clone(), port] {
        let snapshot = watched(&Filter::default(), std::slice::from_ref(&ignore), Shown::All);
        assert_eq!(growing(&snapshot), (Some(false), vec![pool.clone()]), "{ignore:?}");
    }
    // On a large host the kernel side has counted.
    assert_eq!(growing(&watched(&Filter::default(), &[container], Shown::default())), (Some(false), vec![]));
    assert_eq!(growing(&watched(&Filter::default(), &[], Shown::default())), (Some(true), vec![]));
}

#[test]
fn nothing_is_said_of_growth_where_what_a_filter_lets_through_is_not_seen() {
    let pids = Filter { pids: vec![7], ..Filter::default() };
    let snapshot = watched(&pids, &[], Shown::default());
    assert_eq!((snapshot.callsites.len(), growing(&snapshot).0), (1, None));
}
