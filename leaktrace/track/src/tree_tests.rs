//! Claims about [`tree`](super): what is told of a command's processes, from made-up samples.

use super::*;
use crate::TrackerOptions;
use leaktrace_common::{CallsiteCounters, CallsiteKey, Direction, PassSettings, Tally, Verdict, emit, row_flags};
use leaktrace_model::{
    host::Moment,
    sample::{Holders, Sample},
};
use zerocopy::FromZeros;

const START: u64 = 1_000_000_000;

fn tracker() -> Tracker {
    let started = Some(Moment { boot_ns: START, unix_ns: 0 });
    Tracker::new(TrackerOptions { tree: Some(Tree::default()), started, ..TrackerOptions::default() })
}

fn site(index: u32, tgid: u32) -> (u32, CallsiteCounters) {
    let key = CallsiteKey { stack_hash: 1, tgid, direction: Direction::Connect.raw().into() };
    let tally = Tally { opened: 2, closed_adopted: 1, ..Tally::new_zeroed() };
    (index, CallsiteCounters { key, tally, ..CallsiteCounters::new_zeroed() })
}

fn row(sk: u64, callsite: u32, verdicts: u32) -> SocketRow {
    SocketRow {
        sk,
        callsite,
        verdicts,
        age_ns: 5,
        direction: Direction::Connect.raw(),
        state: 1,
        ..SocketRow::default()
    }
}

fn left(tgid: u32, at_ns: u64, socket: SocketRow) -> LeftRow {
    LeftRow { at_ns, tgid, socket, ..LeftRow::default() }
}

fn running(started_ns: u64) -> TreeProcess {
    TreeProcess { started_ns, parent: 1, comm: *b"worker\0\0\0\0\0\0\0\0\0\0", ..TreeProcess::default() }
}

fn exited(started_ns: u64, exited_ns: u64, exit_code: u32, left_open: u64) -> TreeProcess {
    TreeProcess { exited_ns, exit_code, left_open, ..running(started_ns) }
}

fn sample(seconds: u64, processes: &[(u32, TreeProcess)], left: &[LeftRow]) -> Sample {
    Sample {
        boot_ns: START + seconds * 1_000_000_000,
        limits: PassSettings { emit: emit::ALL, ..PassSettings::default() },
        callsites: vec![site(1, 7), site(2, 99)],
        tree: Some(TreeSample { processes: processes.to_vec(), left: left.to_vec() }),
        ..Sample::default()
    }
}

fn told(tracker: &Tracker) -> Run {
    tracker.snapshot().run.unwrap_or_else(|| panic!("a tree is followed"))
}

#[test]
fn who_was_killed_is_excused_and_who_ended_by_itself_is_not() {
    let mut tracker = tracker();
    let processes = [(7, exited(START, START + 10, 0, 1)), (8, exited(START, START + 10, 9, 1))];
    tracker.ingest(sample(1, &processes, &[left(7, START + 9, row(1, 1, 0)), left(8, START + 9, row(2, 1, 0))]));
    let run = told(&tracker);
    assert_eq!((run.left_open_total, run.left_open_lost, run.leaked()), (2, 0, 1));
    assert_eq!(run.left_open.iter().map(|left| left.signal).collect::<Vec<_>>(), [None, Some(9)]);
    let status = |pid| run.processes.iter().find(|process| process.pid == pid).and_then(|process| process.exit_status);
    assert_eq!((status(7), status(8)), (Some(0), Some(137)));
}

#[test]
fn a_socket_belongs_to_the_process_that_had_the_id_at_the_time() {
    let mut tracker = tracker();
    tracker.ingest(sample(1, &[(7, exited(START, START + 10, 11 << 8, 1))], &[left(7, START + 9, row(1, 1, 0))]));
    tracker.ingest(sample(2, &[(7, exited(START + 50, START + 60, 9, 0))], &[]));
    let run = told(&tracker);
    assert_eq!((run.processes_total, run.left_open[0].signal), (2, None));
}

#[test]
fn sockets_that_came_too_fast_are_counted() {
    let mut tracker = tracker();
    tracker.ingest(sample(1, &[(7, exited(START, START + 10, 0, 5))], &[left(7, START + 9, row(1, 1, 0))]));
    let run = told(&tracker);
    assert_eq!((run.left_open_total, run.left_open_lost, run.leaked()), (5, 4, 5));
}

#[test]
fn a_socket_whose_call_site_is_told_later_gets_it() {
    let mut tracker = tracker();
    let mut early = sample(1, &[(7, exited(START, START + 10, 0, 1))], &[left(7, START + 9, row(1, 1, 0))]);
    early.callsites.clear();
    tracker.ingest(early);
    assert_eq!(told(&tracker).left_open[0].socket.callsite, None);
    tracker.ingest(sample(2, &[], &[]));
    let run = told(&tracker);
    assert!(run.left_open.len() == 1 && run.left_open[0].socket.callsite.is_some());
}

#[test]
fn a_verdict_that_went_away_is_remembered_with_its_socket() {
    let mut tracker = tracker();
    let bit = |verdict| 1 << verdict as u32;
    let mut stuck = sample(1, &[(7, running(START))], &[]);
    stuck.sockets = vec![row(1, 1, bit(Verdict::CloseWait))];
    tracker.ingest(stuck);
    tracker.ingest(sample(2, &[], &[]));
    let run = told(&tracker);
    assert_eq!(run.verdicts.get("close-wait"), Some(&1));
    assert_eq!((run.flagged.len(), run.processes_running), (1, 1));
    assert_eq!(run.flagged[0].verdicts, ["close-wait"]);
}

#[test]
fn call_sites_of_other_processes_are_left_out() {
    let mut tracker = tracker();
    tracker.ingest(sample(1, &[(7, running(START))], &[]));
    let snapshot = tracker.snapshot();
    assert_eq!(snapshot.callsites.iter().map(|site| site.pids.as_slice()).collect::<Vec<_>>(), [[7]]);
}

#[test]
fn a_dead_socket_is_counted_once_however_many_samples_lie_between_two_looks_at_descriptors() {
    let mut tracker = tracker();
    let bit = 1 << Verdict::DeadHeld as u32;
    for second in 1..10 {
        let mut sample = sample(second, &[(7, running(START))], &[]);
        if second == 1 || second == 6 {
            let dead = SocketRow { flags: row_flags::FROM_HOLDER, age_ns: second * 1_000_000_000, ..row(1, 1, bit) };
            sample.sockets = vec![dead];
            sample.holders = Some(Holders::default());
        }
        tracker.ingest(sample);
    }
    let run = told(&tracker);
    assert_eq!((run.verdicts.get("dead-held"), run.flagged.len()), (Some(&1), 1));
}
