//! What is recorded is what is replayed.

use super::{Picture, RecordTo, Replay, Session, Source, Travel, WatchError};
use crate::{
    cli::{Cli, Command},
    config::{ReplayConfig, WatchConfig},
};
use clap::Parser;
use leaktrace_kernel::{SampleRequest, StartError};
use leaktrace_model::{
    filter::Filter,
    hooks::HookKind,
    limits::Limits,
    location::{Module, ModuleKind, Modules},
    sample::Sample,
    snapshot::{Snapshot, Tool},
};
use leaktrace_output::ReportFormat;
use leaktrace_recording::{
    Ending, Progress, Reader, Recorder,
    frame::VERSION,
    synthetic::{Host, Scale, recording},
    wire::Start,
    write::Sink,
};
use leaktrace_symbols::{Images, Symbolizer};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// A symbolizer that knows the module that the made-up host's stacks lie in.
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
        let SampleRequest { threshold, stall, idle, .. } = request;
        self.0.judge_by([threshold, stall, idle].map(Duration::as_secs));
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

/// What a live watch knows after each of `samples` samples, and its recording.
fn watched(folder: &Path, words: &[&str], samples: u32) -> (Vec<Snapshot>, PathBuf) {
    let path = folder.join("recording");
    let source = Box::new(MadeUp(Host::new(Scale::SMALL)));
    let mut session = Session::over(source, HookKind::Kprobe, names(), config(words));
    session.record(RecordTo { path: path.clone(), progress: Progress::default() }).unwrap();
    let look = |_| {
        session.look(Picture::Flagged, false).unwrap();
        session.snapshot()
    };
    let snapshots = (0..samples).map(look).collect();
    session.finish_recording().unwrap();
    (snapshots, path)
}

fn replay(path: &Path, filter: &Filter, travel: Travel) -> Replay {
    let config = ReplayConfig { path: path.to_owned(), ..ReplayConfig::default() };
    Replay::open(&config, filter, travel).unwrap()
}

fn as_live(mut snapshot: Snapshot) -> String {
    assert_eq!(snapshot.health.hooks, "replay");
    snapshot.health.hooks = "kprobe".to_owned();
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
        let mut replay = replay(&path, &Filter::default(), Travel::Onward);
        for (number, snapshot) in live.iter().enumerate() {
            assert!(replay.step());
            assert_same(&as_live(replay.snapshot()), &json(snapshot), &format!("{words:?}, sample {number}"));
        }
        assert!(!replay.step() && replay.trouble().is_none());
        let has_flagged = live.iter().any(|snapshot| snapshot.totals.flagged > 0);
        assert_eq!(has_flagged, !words.contains(&"--pid"), "{words:?}");
    }
}

#[test]
fn what_is_written_comes_back_sample_by_sample() {
    let bytes = recording(Scale::SMALL, 40).unwrap();
    let mut reader = Reader::new(&bytes[..], "memory").unwrap();
    let mut host = Host::new(Scale::SMALL);
    let (mut told, mut count) = (Vec::new(), 0);
    while let Some(recorded) = reader.next_sample() {
        let mut sample = host.sample();
        // What is known of a process is written once.
        sample.processes.retain(|facts| !told.contains(facts));
        told.extend(sample.processes.iter().cloned());
        assert_eq!(format!("{:?}", recorded.sample), format!("{sample:?}"));
        count += 1;
    }
    assert_eq!(count, 40);
    assert!(matches!(reader.ending(), Some(Ending::Whole)));
}

#[test]
fn going_back_and_forth_shows_what_going_straight_shows() {
    let folder = tempfile::tempdir().unwrap();
    let (live, path) = watched(folder.path(), &[], 90);
    let mut replay = replay(&path, &Filter::default(), Travel::AnyWay);
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
    let mut replay = Replay::open(&config, &Filter::default(), Travel::AnyWay).unwrap();
    replay.go_to(90);
    let (snapshot, right) = (replay.snapshot(), live.last().unwrap());
    assert_eq!(snapshot.settings, right.settings);
    assert_eq!((&snapshot.sockets, &snapshot.totals), (&right.sockets, &right.totals));
    let (threshold, stall, idle) = (Duration::from_secs(5), Duration::from_secs(2), Duration::from_secs(5));
    replay.set_limits(Limits { threshold, stall, idle });
    replay.go_to(90);
    assert!(replay.snapshot().totals.flagged > snapshot.totals.flagged);
}

#[test]
fn a_filter_that_is_given_on_replay_replaces_that_of_the_recording() {
    let folder = tempfile::tempdir().unwrap();
    let (live, _) = watched(folder.path(), &["--port", "5432"], 20);
    let (_, path) = watched(folder.path(), &["--port", "1"], 20);
    let filter = Filter { ports: vec![5432], ..Filter::default() };
    let mut replay = replay(&path, &filter, Travel::Onward);
    while replay.step() {}
    let snapshot = replay.snapshot();
    assert_eq!((&snapshot.sockets, &snapshot.totals), (&live[19].sockets, &live[19].totals));
    assert!(snapshot.totals.open > 0 && snapshot.totals.open < 12);
}

#[test]
fn a_recorder_without_room_keeps_what_it_has() {
    struct Disk(Vec<u8>, usize);
    impl std::io::Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let room = self.1 - self.0.len();
            if room == 0 {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
            Ok(bytes.len().min(room))
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl Sink for &mut Disk {
        fn cut(&mut self, length: u64) {
            self.0.truncate(length as usize);
        }

        fn settle(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let room = recording(Scale::SMALL, 20).unwrap().len();
    let mut disk = Disk(Vec::new(), room);
    let mut recorder = Recorder::new(&mut disk, Path::new("disk"), &Start::default(), Progress::default()).unwrap();
    let (mut host, mut names, mut written) = (Host::new(Scale::SMALL), names(), 0);
    let error = loop {
        match recorder.write(&host.sample(), &mut names) {
            Ok(()) => written += 1,
            Err(error) => break WatchError::from(error).to_string(),
        }
    };
    assert_eq!(
        error,
        format!("disk: no space is left; the recording ends after {written} samples, which can be replayed")
    );
    drop(recorder);
    let mut reader = Reader::new(&disk.0[..], "disk").unwrap();
    let read = std::iter::from_fn(|| reader.next_sample()).count();
    assert_eq!(read, written);
    assert!(matches!(reader.ending(), Some(Ending::Unfinished)));
}

#[test]
fn an_idle_socket_takes_no_room() {
    let still = Scale { moving: 0, replaced: 0, holders_every: 1000, ..Scale::SMALL };
    let many = Scale { sockets: 2000, ..still };
    let each = |scale| recording(scale, 130).unwrap().len() - recording(scale, 125).unwrap().len();
    assert!(each(many) < each(still) + 200, "{} bytes for 2000, {} for 12", each(many), each(still));
}

/// The recording of version 1 that is kept: a later version must read it as this one does.
const VERSION_1: &[u8] = include_bytes!("fixtures/version1.ltr");

#[test]
fn a_recording_of_version_1_still_replays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("version1.ltr");
    std::fs::write(&path, VERSION_1).unwrap();
    let mut replay = replay(&path, &Filter::default(), Travel::Onward);
    while replay.step() {}
    assert_eq!((replay.taken(), replay.trouble()), (70, None));
    let snapshot = Snapshot { tool: Tool::default(), ..replay.snapshot() };
    let shown = json(&snapshot).replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::with_settings!({ snapshot_path => "fixtures", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("version1", shown);
    });
}

/// Writes the fixture: `cargo test -p leaktrace write_the_fixture -- --ignored`. Only for a new version of the format.
#[test]
#[ignore = "writes into the source tree"]
fn write_the_fixture() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/watch/fixtures/version{VERSION}.ltr"));
    assert!(!path.exists(), "{} is there already: what was written once stays as it is", path.display());
    std::fs::write(path, recording(Scale::SMALL, 70).unwrap()).unwrap();
}
