//! Claims about [`build`](super): what a snapshot says of made-up samples.

use super::*;
use crate::TrackerOptions;
use leaktrace_common::{CallsiteKey, HolderRow, PassSettings, PassSums, ProcessRow, Tally, emit};
use leaktrace_model::{
    filter::Filter,
    sample::{Holders, Sample},
};
use zerocopy::FromZeros;

const SECOND: u64 = 1_000_000_000;

/// A call site of process 7 that has opened `sums.open` sockets, as pass 5 has summed them.
fn site(sums: PassSums) -> (u32, CallsiteCounters) {
    let key = CallsiteKey { stack_hash: 1, tgid: 7, direction: Direction::Connect.raw().into() };
    let tally = Tally { opened: sums.open.into(), ..Tally::new_zeroed() };
    (1, CallsiteCounters { key, tally, sums: PassSums { pass: 5, ..sums }, ..CallsiteCounters::new_zeroed() })
}

fn tracked(sample: Sample) -> Snapshot {
    let mut tracker = Tracker::new(TrackerOptions::default());
    tracker.ingest(sample);
    tracker.snapshot()
}

#[test]
fn a_dead_socket_counts_in_every_sum_on_a_large_host() {
    let dead = SocketRow {
        flags: row_flags::FROM_HOLDER | row_flags::ADOPTED,
        sk: 1,
        callsite: 1,
        age_ns: 90 * SECOND,
        rx_queue_bytes: 30,
        memory_bytes: 500,
        verdicts: 1 << Verdict::DeadHeld as u32,
        ..SocketRow::default()
    };
    let (rx_queue_bytes, memory_bytes) = (7, 1000);
    let sums = PassSums { open: 1, oldest_ns: 60 * SECOND, rx_queue_bytes, memory_bytes, ..PassSums::default() };
    let snapshot = tracked(Sample {
        boot_ns: 100 * SECOND,
        limits: PassSettings { pass: 5, ..PassSettings::default() },
        callsites: vec![site(sums)],
        sockets: vec![dead],
        holders: Some(Holders::default()),
        ..Sample::default()
    });
    let site = &snapshot.callsites[0];
    assert_eq!((site.open, site.flagged, site.rx_queue_bytes, site.memory_bytes), (2, 1, 37, 1500));
    assert_eq!((site.oldest_s, site.oldest_exact), (Some(90.0), false));
}

#[test]
fn the_age_of_a_peer_is_a_lower_bound_where_its_oldest_socket_is_older_than_the_tracer() {
    let row = |sk, age_ns, flags| SocketRow { sk, age_ns, flags, remote_port: 443, state: 1, ..SocketRow::default() };
    for (adopted, exact) in [(5, true), (20, false)] {
        let sockets = vec![row(1, 10, 0), row(2, adopted, row_flags::ADOPTED)];
        let snapshot = tracked(Sample { sockets, ..Sample::default() });
        assert_eq!((snapshot.peers.len(), snapshot.peers[0].oldest_exact), (1, exact), "{adopted}");
    }
}

/// The unknown call site, where nothing was counted to be open and this pass has come upon so many.
fn unknown(open: u32) -> (u32, CallsiteCounters) {
    (0, CallsiteCounters { sums: PassSums { pass: 5, open, ..PassSums::default() }, ..CallsiteCounters::new_zeroed() })
}

#[test]
fn sockets_that_found_no_room_in_the_table_are_among_the_open_ones() {
    for emit in [emit::ALL, 0] {
        let row = |sk| SocketRow { sk, state: 1, ..SocketRow::default() };
        let snapshot = tracked(Sample {
            limits: PassSettings { pass: 5, emit, ..PassSettings::default() },
            callsites: vec![unknown(3)],
            sockets: if emit == emit::ALL { (1..=3).map(row).collect() } else { Vec::new() },
            ..Sample::default()
        });
        assert_eq!(snapshot.totals.open, 3, "emit {emit}");
    }
}

#[test]
fn the_unknown_call_site_has_what_it_has_now() {
    let mut tracker = Tracker::new(TrackerOptions::default());
    let (_, mut adopted) = unknown(3);
    adopted.tally.opened = 3;
    // All three found the call site of their holder.
    for (pass, counters) in [(5, adopted), (6, unknown(3).1)] {
        let limits = PassSettings { pass, ..PassSettings::default() };
        tracker.ingest(Sample { limits, callsites: vec![(0, counters)], ..Sample::default() });
    }
    assert!(tracker.sites.iter().all(|site| tracker.sites.counts(site).open() == 0));
    assert!(tracker.snapshot().callsites.is_empty());
}

#[test]
fn a_process_is_shown_for_a_socket_that_matches() {
    let held = |tgid, sk| HolderRow { tgid, sk, ..HolderRow::default() };
    let process = |tgid| ProcessRow { tgid, sockets: 1, ..ProcessRow::default() };
    let row = |sk, port| SocketRow { sk, remote_port: port, direction: 1, state: 1, ..SocketRow::default() };
    let shown = |filter: Filter| {
        let mut tracker = Tracker::new(TrackerOptions { filter, ..TrackerOptions::default() });
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
