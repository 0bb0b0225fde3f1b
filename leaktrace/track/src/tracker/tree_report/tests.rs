//! Claims about [`tree_report`](super): what is reported of a command's processes. The samples are made up.

use super::*;
use crate::TrackerOptions;
use leaktrace_model::{
    Comm, Direction, Holders, Moment, Observed, Pass, Sample, SeenBy, Shown, SiteCounters, SiteKey, TcpState, Verdict,
};

const START: u64 = 1_000_000_000;

fn tracker() -> Tracker {
    let started = Some(Moment { boot_ns: START, unix_ns: 0 });
    Tracker::new(TrackerOptions { tree: Some(Tree::default()), started, ..TrackerOptions::default() })
}

fn site(index: u32, pid: u32) -> (u32, SiteCounters) {
    let key = SiteKey { stack_hash: 1, pid, direction: Direction::Connect };
    (index, SiteCounters { key, opened: 2, closed: 1, ..SiteCounters::default() })
}

fn row(sk: u64, callsite: u32, verdict: Option<Verdict>) -> Observed {
    let mut verdicts = Verdicts::NONE;
    verdict.into_iter().for_each(|verdict| verdicts.insert(verdict));
    Observed {
        sk,
        callsite,
        verdicts,
        age_ns: 5,
        direction: Direction::Connect,
        state: TcpState::Established,
        ..Observed::default()
    }
}

fn left(pid: u32, at_ns: u64, socket: Observed) -> LeftSocket {
    LeftSocket { at_ns, pid, socket }
}

fn running(started_ns: u64) -> TreeProcess {
    TreeProcess { started_ns, parent: 1, comm: Comm::new("worker"), ..TreeProcess::default() }
}

fn exited(started_ns: u64, exited_ns: u64, exit_code: u32, left_open: u64) -> TreeProcess {
    TreeProcess { exited_ns: Some(exited_ns), exit_code, left_open, ..running(started_ns) }
}

fn sample(seconds: u64, processes: &[(u32, TreeProcess)], left: &[LeftSocket]) -> Sample {
    Sample {
        at: Moment { boot_ns: START + seconds * 1_000_000_000, unix_ns: 0 },
        pass: Pass { shown: Shown::All, ..Pass::default() },
        callsites: vec![site(1, 7), site(2, 99)],
        tree: Some(TreeSample { processes: processes.to_vec(), left: left.to_vec() }),
        ..Sample::default()
    }
}

fn reported(tracker: &Tracker) -> Run {
    tracker.snapshot().run.unwrap_or_else(|| panic!("a tree is followed"))
}

#[test]
fn who_was_killed_is_excused_and_who_ended_by_itself_is_not() {
    let mut tracker = tracker();
    let processes = [(7, exited(START, START + 10, 0, 1)), (8, exited(START, START + 10, 9, 1))];
    tracker.ingest(sample(1, &processes, &[left(7, START + 9, row(1, 1, None)), left(8, START + 9, row(2, 1, None))]));
    let run = reported(&tracker);
    assert_eq!((run.left_open_total, run.left_open_lost, run.leaked()), (2, 0, 1));
    assert_eq!(run.left_open.iter().map(|left| left.signal).collect::<Vec<_>>(), [None, Some(9)]);
    let status = |pid| run.processes.iter().find(|process| process.pid == pid).and_then(|process| process.exit_status);
    assert_eq!((status(7), status(8)), (Some(0), Some(137)));
}

#[test]
fn a_socket_belongs_to_the_process_that_had_the_id_at_the_time() {
    let mut tracker = tracker();
    tracker.ingest(sample(1, &[(7, exited(START, START + 10, 11 << 8, 1))], &[left(7, START + 9, row(1, 1, None))]));
    tracker.ingest(sample(2, &[(7, exited(START + 50, START + 60, 9, 0))], &[]));
    let run = reported(&tracker);
    assert_eq!((run.processes_total, run.left_open[0].signal), (2, None));
}

#[test]
fn sockets_that_came_too_fast_are_counted() {
    let mut tracker = tracker();
    tracker.ingest(sample(1, &[(7, exited(START, START + 10, 0, 5))], &[left(7, START + 9, row(1, 1, None))]));
    let run = reported(&tracker);
    assert_eq!((run.left_open_total, run.left_open_lost, run.leaked()), (5, 4, 5));
}

#[test]
fn a_socket_whose_call_site_is_known_later_gets_it() {
    let mut tracker = tracker();
    let mut early = sample(1, &[(7, exited(START, START + 10, 0, 1))], &[left(7, START + 9, row(1, 1, None))]);
    early.callsites.clear();
    tracker.ingest(early);
    assert_eq!(reported(&tracker).left_open[0].socket.callsite, None);
    tracker.ingest(sample(2, &[], &[]));
    let run = reported(&tracker);
    assert!(run.left_open.len() == 1 && run.left_open[0].socket.callsite.is_some());
}

#[test]
fn a_verdict_that_went_away_is_remembered_with_its_socket() {
    let mut tracker = tracker();
    let mut stuck = sample(1, &[(7, running(START))], &[]);
    stuck.sockets = vec![row(1, 1, Some(Verdict::CloseWait))];
    tracker.ingest(stuck);
    tracker.ingest(sample(2, &[], &[]));
    let run = reported(&tracker);
    assert_eq!(run.verdicts.get(Verdict::CloseWait), 1);
    assert_eq!((run.flagged.len(), run.processes_running), (1, 1));
    assert_eq!(run.flagged[0].observed.verdicts.iter().collect::<Vec<_>>(), [Verdict::CloseWait]);
}

#[test]
fn call_sites_of_other_processes_are_left_out() {
    let mut tracker = tracker();
    tracker.ingest(sample(1, &[(7, running(START))], &[]));
    let snapshot = tracker.snapshot();
    assert_eq!(snapshot.callsites.iter().map(|site| site.pids.as_slice()).collect::<Vec<_>>(), [[7]]);
}

#[test]
fn a_dead_socket_is_counted_once_however_many_samples_lie_between_two_holders_passes() {
    let mut tracker = tracker();
    for second in 1..10 {
        let mut sample = sample(second, &[(7, running(START))], &[]);
        if second == 1 || second == 6 {
            let row = row(1, 1, Some(Verdict::DeadHeld));
            let dead = Observed { seen_by: SeenBy::Holders, age_ns: second * 1_000_000_000, ..row };
            sample.sockets = vec![dead];
            sample.holders = Some(Holders::default());
        }
        tracker.ingest(sample);
    }
    let run = reported(&tracker);
    assert_eq!((run.verdicts.get(Verdict::DeadHeld), run.flagged.len()), (1, 1));
}
