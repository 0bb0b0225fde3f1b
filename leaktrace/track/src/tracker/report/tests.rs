//! Claims about [`report`](super): what a snapshot says of made-up samples.

use super::*;
use crate::TrackerOptions;
use leaktrace_model::{
    Filter, HolderProcess, Holders, Moment, Oldest, Pass, Sample, SeenBy, Settings, Shown, SiteKey, SocketHolder,
    TcpState, Verdict, Verdicts,
};
use std::net::{IpAddr, SocketAddr};

const SECOND: u64 = 1_000_000_000;

fn pass(number: u16, shown: Shown) -> Pass {
    Pass { number, shown, ..Pass::default() }
}

fn port(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from([0; 4]), port)
}

fn established(sk: u64) -> Observed {
    Observed { sk, state: TcpState::Established, ..Observed::default() }
}

/// A call site of process 7 that has opened `sums.open` sockets, as pass 5 has summed them.
fn site(sums: Sums) -> (u32, SiteCounters) {
    let key = SiteKey { stack_hash: 1, pid: 7, direction: Direction::Connect };
    (1, SiteCounters { key, opened: sums.open, pass: 5, sums, ..SiteCounters::default() })
}

fn tracked(sample: Sample) -> Snapshot {
    let mut tracker = Tracker::new(TrackerOptions::default());
    tracker.ingest(sample);
    tracker.snapshot()
}

#[test]
fn a_dead_socket_counts_in_every_sum_on_a_large_host() {
    let mut verdicts = Verdicts::NONE;
    verdicts.insert(Verdict::DeadHeld);
    let dead = Observed {
        seen_by: SeenBy::Holders,
        sk: 1,
        callsite: 1,
        age_ns: 90 * SECOND,
        age_exact: false,
        rx_queue_bytes: 30,
        memory_bytes: 500,
        verdicts,
        ..Observed::default()
    };
    let (rx_queue_bytes, memory_bytes) = (7, 1000);
    let oldest = Some(Oldest { age_ns: 40 * SECOND, exact: true });
    let sums = Sums { open: 1, oldest, rx_queue_bytes, memory_bytes, ..Sums::default() };
    let snapshot = tracked(Sample {
        at: Moment { boot_ns: 100 * SECOND, unix_ns: 0 },
        pass: pass(5, Shown::default()),
        callsites: vec![site(sums)],
        sockets: vec![dead],
        holders: Some(Holders::default()),
        ..Sample::default()
    });
    let sums = &snapshot.callsites[0].sums;
    assert_eq!((sums.open, sums.flagged, sums.rx_queue_bytes, sums.memory_bytes), (2, 1, 37, 1500));
    assert_eq!((sums.oldest_s(), sums.oldest_exact()), (Some(90.0), false));
}

#[test]
fn the_age_of_a_peer_is_a_lower_bound_where_its_oldest_socket_is_older_than_the_tracer() {
    let row = |sk, age_ns, age_exact| Observed { age_ns, age_exact, remote: port(443), ..established(sk) };
    for (adopted, exact) in [(5, true), (20, false)] {
        let sockets = vec![row(1, 10, true), row(2, adopted, false)];
        let snapshot = tracked(Sample { sockets, ..Sample::default() });
        assert_eq!((snapshot.peers.len(), snapshot.peers[0].sums.oldest_exact()), (1, exact), "{adopted}");
    }
}

/// The unknown call site: nothing was counted as open, and this pass has seen `open` sockets.
fn unknown(open: u64) -> (u32, SiteCounters) {
    (0, SiteCounters { pass: 5, sums: Sums { open, ..Sums::default() }, ..SiteCounters::default() })
}

#[test]
fn sockets_that_found_no_room_in_the_table_are_among_the_open_ones() {
    for shown in [Shown::All, Shown::default()] {
        let snapshot = tracked(Sample {
            pass: pass(5, shown),
            callsites: vec![unknown(3)],
            sockets: if shown == Shown::All { (1..=3).map(established).collect() } else { Vec::new() },
            ..Sample::default()
        });
        assert_eq!(snapshot.totals.sums.open, 3, "{shown:?}");
    }
}

#[test]
fn the_unknown_call_site_has_what_it_has_now() {
    let mut tracker = Tracker::new(TrackerOptions::default());
    let (_, mut adopted) = unknown(3);
    adopted.opened = 3;
    // All three sockets got the call site of their holder.
    for (number, counters) in [(5, adopted), (6, unknown(3).1)] {
        let pass = pass(number, Shown::default());
        tracker.ingest(Sample { pass, callsites: vec![(0, counters)], ..Sample::default() });
    }
    assert!(tracker.sites.iter().all(|site| tracker.sites.counts(site).open() == 0));
    assert!(tracker.snapshot().callsites.is_empty());
}

#[test]
fn a_process_is_shown_for_a_socket_that_matches() {
    let held = |pid, sk| SocketHolder { pid, sk, ..SocketHolder::default() };
    let process = |pid| HolderProcess { pid, sockets: 1, ..HolderProcess::default() };
    let row = |sk, number| Observed { remote: port(number), direction: Direction::Connect, ..established(sk) };
    let shown = |filter: Filter| {
        let settings = Settings { filter, ..Settings::default() };
        let mut tracker = Tracker::new(TrackerOptions { settings, ..TrackerOptions::default() });
        tracker.ingest(Sample {
            sockets: vec![row(1, 443), row(2, 5432)],
            holders: Some(Holders {
                rows: vec![held(10, 1), held(20, 2)],
                processes: vec![process(10), process(20)],
                ..Holders::default()
            }),
            ..Sample::default()
        });
        tracker.snapshot().processes.iter().map(|process| process.pid).collect::<Vec<_>>()
    };
    assert_eq!(shown(Filter::default()), [10, 20]);
    assert_eq!(shown(Filter { ports: vec![5432], ..Filter::default() }), [20]);
    assert_eq!(shown(Filter { directions: vec![Direction::Connect], ..Filter::default() }), [10, 20]);
    assert!(shown(Filter { directions: vec![Direction::Accept], ..Filter::default() }).is_empty());
}
