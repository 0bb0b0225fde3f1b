//! Claims about recordings: a replay gives what the live watch gave.

use super::{
    RecordTo, Replay, Session, Travel,
    message::{Detail, WatchError},
    session::Source,
};
use crate::{
    cli::{Cli, Command},
    config::{ReplayConfig, WatchConfig},
};
use clap::Parser;
use leaktrace_kernel::{SampleRequest, StartError};
use leaktrace_model::{
    Degradation, Filter, HookKind, Hooks, Limits, Module, ModuleKind, Modules, Observed, Sample, Snapshot, Socket, Tool,
};
use leaktrace_output::ReportFormat;
use leaktrace_recording::{
    FileReader, Progress, Recorded, WriteError,
    synthetic::{Host, Scale, VERSION_1},
};
use leaktrace_symbols::{Images, Symbolizer};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};

/// A symbolizer that knows the module of the made-up host's stacks.
fn names() -> Symbolizer {
    let modules = Modules::default();
    let (path, kind) = ("[jit]".to_owned(), ModuleKind::Jit);
    modules.intern(Module { path, kind, device: 0, inode: 0, size: 0, modified_ns: 0, build_id: None });
    Symbolizer::new(modules, Images::default(), 1 << 20)
}

/// The made-up host in place of a kernel.
struct MadeUp(Host);

impl Source for MadeUp {
    fn sample(&mut self, request: &SampleRequest) -> Result<Sample, StartError> {
        self.0.judge_by(request.limits);
        Ok(self.0.sample())
    }

    fn attend(&mut self, _: Duration) -> Result<(), StartError> {
        Ok(())
    }
}

fn config(words: &[&str]) -> WatchConfig {
    let line = ["leaktrace", "top"].iter().chain(words);
    match Cli::try_parse_from(line).unwrap().command {
        Some(Command::Top(args)) => args.watch.try_into().unwrap(),
        other => panic!("{other:?} is not top"),
    }
}

fn json(snapshot: &Snapshot) -> String {
    let mut bytes = Vec::new();
    ReportFormat::Json.format().write(snapshot, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// The snapshot of a live watch after each of `samples` samples, and its recording.
fn watched(folder: &Path, words: &[&str], samples: u32) -> (Vec<Snapshot>, PathBuf) {
    let path = folder.join("recording");
    let source = Box::new(MadeUp(Host::new(Scale::SMALL)));
    let mut session = Session::over(source, HookKind::Kprobe, Box::new(names()), config(words));
    session.record(RecordTo { path: path.clone(), mode: None, progress: Progress::default() }).unwrap();
    let take = |_| {
        session.sample(Detail::Flagged, false).unwrap();
        session.snapshot()
    };
    let snapshots = (0..samples).map(take).collect();
    session.finish_recording().unwrap();
    (snapshots, path)
}

fn replay(path: &Path, filter: &Filter, travel: Travel) -> Replay {
    let config = ReplayConfig { path: path.to_owned(), ..ReplayConfig::default() };
    Replay::open(&config, filter, travel).unwrap()
}

/// The sockets without their pseudonyms, which are others in every recording.
fn sockets(snapshot: &Snapshot) -> Vec<Socket> {
    let unnamed = |socket: &Socket| Socket { observed: Observed { sk: 0, ..socket.observed }, ..socket.clone() };
    snapshot.sockets.iter().map(unnamed).collect()
}

fn as_live(mut snapshot: Snapshot) -> String {
    assert_eq!(snapshot.health.hooks, Hooks::Replay);
    snapshot.health.hooks = Hooks::Live(HookKind::Kprobe);
    json(&snapshot)
}

/// Whole reports are too long to print.
fn assert_same(found: &str, right: &str, what: &str) {
    if let Some((found, right)) = found.lines().zip(right.lines()).find(|(found, right)| found != right) {
        panic!("{what}: {found:.400}\nis not {right:.400}");
    }
    assert_eq!(found.len(), right.len(), "{what}");
}

#[test]
fn every_sample_replays_to_the_report_that_was_given_live_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    for words in [&[][..], &["--pid", "1", "--stall", "3s"], &["--port", "5432"]] {
        let (live, path) = watched(folder.path(), words, 90);
        let mut replay = replay(&path, &Filter::default(), Travel::Forward);
        for (number, snapshot) in live.iter().enumerate() {
            assert!(replay.step());
            assert_same(&as_live(replay.snapshot()), &json(snapshot), &format!("{words:?}, sample {number}"));
        }
        assert!(!replay.step() && replay.trouble().is_none());
        let has_flagged = live.iter().any(|snapshot| snapshot.totals.sums.flagged > 0);
        assert_eq!(has_flagged, !words.contains(&"--pid"), "{words:?}");
    }
}

#[test]
fn going_back_and_forth_shows_what_going_straight_shows() {
    let folder = tempfile::tempdir().unwrap();
    let (live, path) = watched(folder.path(), &[], 90);
    let mut replay = replay(&path, &Filter::default(), Travel::Anywhere);
    assert_eq!(replay.count(), Some(90));
    for taken in [1, 90, 89, 5, 40, 39, 38, 90, 1, 200, 64] {
        replay.go_to(taken);
        let taken = taken.min(90);
        assert_eq!(replay.taken(), taken);
        assert_same(&as_live(replay.snapshot()), &json(&live[taken as usize - 1]), &format!("after {taken}"));
    }
}

#[test]
fn other_thresholds_judge_as_they_would_have_live() {
    let folder = tempfile::tempdir().unwrap();
    let (live, _) = watched(folder.path(), &[], 90);
    let (_, path) = watched(folder.path(), &["--threshold", "1h", "--stall", "1m", "--idle", "1h"], 90);
    let span = |seconds| Some(Duration::from_secs(seconds));
    let config = ReplayConfig { path, threshold: span(60), stall: span(10), idle: span(60) };
    let mut replay = Replay::open(&config, &Filter::default(), Travel::Anywhere).unwrap();
    replay.go_to(90);
    let (snapshot, right) = (replay.snapshot(), live.last().unwrap());
    assert_eq!(snapshot.settings, right.settings);
    assert_eq!((sockets(&snapshot), &snapshot.totals), (sockets(right), &right.totals));
    let (threshold, stall, idle) = (Duration::from_secs(5), Duration::from_secs(2), Duration::from_secs(5));
    replay.set_limits(Limits { threshold, stall, idle });
    replay.go_to(90);
    assert!(replay.snapshot().totals.sums.flagged > snapshot.totals.sums.flagged);
}

#[test]
fn a_filter_that_is_given_on_replay_reduces_what_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let (live, _) = watched(folder.path(), &["--port", "5432"], 20);
    let (_, path) = watched(folder.path(), &[], 20);
    let filter = of_port(5432);
    let replayed = |path: &Path, filter: &Filter| {
        let mut replay = replay(path, filter, Travel::Forward);
        while replay.step() {}
        replay.snapshot()
    };
    let snapshot = replayed(&path, &filter);
    assert_eq!((sockets(&snapshot), &snapshot.totals), (sockets(&live[19]), &live[19].totals));
    assert!(snapshot.totals.sums.open > 0 && snapshot.totals.sums.open < 12);
    let is_said = |snapshot: &Snapshot| snapshot.health.degraded.contains(&Degradation::FiltersRecorded);
    assert!(!is_said(&snapshot));
    // What the filters of the recording have left out does not come back.
    let (_, path) = watched(folder.path(), &["--port", "1"], 20);
    let snapshot = replayed(&path, &filter);
    assert!(snapshot.sockets.is_empty() && is_said(&snapshot));
    assert!(!is_said(&replayed(&path, &Filter::default())) && !is_said(&replayed(&path, &of_port(1))));
}

fn of_port(port: u16) -> Filter {
    Filter { ports: vec![port], ..Filter::default() }
}

#[test]
fn a_recording_holds_no_kernel_address_and_only_what_the_filters_let_through() {
    let folder = tempfile::tempdir().unwrap();
    let mut host = Host::new(Scale::SMALL);
    let addresses: HashSet<u64> =
        (0..30).flat_map(|_| host.sample().sockets.into_iter().map(|socket| socket.sk).collect::<Vec<_>>()).collect();
    for (words, is_left_out) in [(&[][..], false), (&["--comm", "service-1"], true)] {
        let (_, path) = watched(folder.path(), words, 30);
        let mut reader = FileReader::open(&path).unwrap();
        let mut sockets = 0;
        while let Some(Recorded { sample, .. }) = reader.next_sample() {
            sockets += sample.sockets.len();
            let holders = sample.holders.unwrap_or_default();
            let hashes: HashSet<u64> = sample.sockets.iter().map(|socket| socket.sk).collect();
            assert!(hashes.is_disjoint(&addresses));
            assert!(holders.rows.iter().all(|holder| hashes.contains(&holder.sk)));
            let pids = sample.processes.iter().map(|facts| facts.pid).chain(holders.rows.iter().map(|row| row.pid));
            let pids = pids.chain(holders.processes.iter().map(|row| row.pid));
            let mut pids = pids.chain(sample.callsites.iter().map(|(_, site)| site.key.pid));
            assert!(!is_left_out || pids.all(|pid| pid == 1001));
        }
        assert!(sockets > 0, "{words:?}");
    }
}

#[test]
fn a_watch_that_is_recorded_reports_what_one_that_is_not_reports() {
    let folder = tempfile::tempdir().unwrap();
    for words in [&["--comm", "service-1"][..], &["--port", "443"], &["--direction", "accept"]] {
        let (recorded, _) = watched(folder.path(), words, 60);
        let source = Box::new(MadeUp(Host::new(Scale::SMALL)));
        let mut session = Session::over(source, HookKind::Kprobe, Box::new(names()), config(words));
        for (number, recorded) in recorded.into_iter().enumerate() {
            session.sample(Detail::Flagged, false).unwrap();
            let live = session.snapshot();
            // The two began at different moments.
            let recorded = Snapshot { window: live.window, ..recorded };
            assert_same(&json(&recorded), &json(&live), &format!("{words:?}, sample {number}"));
        }
    }
}

#[test]
fn a_recording_that_ends_early_is_reported_with_what_it_has() {
    let words = |samples| {
        let path = Path::new("di\x1bsk").to_owned();
        WatchError::from(WriteError::Full { path, samples }).to_string()
    };
    assert!(words(7).ends_with(": no space is left; the recording ends after 7 samples, which can be replayed"));
    assert!(words(0).ends_with(": no space is left; nothing was recorded: choose another place with -o"));
}

#[test]
fn a_recording_of_version_1_still_replays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("version1.ltr");
    std::fs::write(&path, VERSION_1).unwrap();
    let mut replay = replay(&path, &Filter::default(), Travel::Forward);
    while replay.step() {}
    assert_eq!((replay.taken(), replay.trouble()), (70, None));
    let snapshot = Snapshot { tool: Tool::default(), ..replay.snapshot() };
    let shown = json(&snapshot).replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::with_settings!({ snapshot_path => "fixtures", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("version1", shown);
    });
}
