//! Recordings: what was watched live is seen again, by anyone, however the recorder ended.
#![allow(clippy::unwrap_used)]

mod subject;

use leaktrace_tests::suite::child::ScenarioChild;
use leaktrace_tests::suite::tracer::Tracer;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use subject::{Folder, leaktrace, refused, reported, run, run_as_nobody};

/// Records a leaking program for a while; gives the recording and the report that was given live.
fn record(leaktrace: &PathBuf, folder: &Folder) -> (String, String) {
    let mut child = ScenarioChild::scenario(Path::new(env!("CARGO_BIN_EXE_scenarios")), "close-wait").unwrap();
    child.listen().unwrap();
    let (recording, live) = (folder.path("r.ltr"), folder.path("live.json"));
    let words = [
        "record",
        "-o",
        &recording,
        "--duration",
        "4s",
        "--stall",
        "1s",
        "--cpu-budget",
        "0",
        "--report",
        &live,
        "--format",
        "json",
    ];
    let output = run(leaktrace, &words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("watching") && said.contains("recorded 4s in "), "{said}");
    assert!(output.stdout.is_empty(), "words on stdout");
    (recording, std::fs::read_to_string(live).unwrap())
}

#[test]
fn a_replay_gives_the_live_report_byte_for_byte_to_a_user_without_privileges() {
    let Some(leaktrace) = leaktrace() else { return };
    let folder = Folder::new("replay");
    let (recording, live) = record(&leaktrace, &folder);
    std::fs::set_permissions(&recording, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = run_as_nobody(&leaktrace, &["report", "--replay", &recording, "--format", "json"]);
    let report = reported(&output);
    assert_eq!(report["health"]["hooks"], "replay");
    assert!(report["totals"]["flagged"].as_u64().unwrap() > 0, "nothing to compare: {}", report["totals"]);
    let (replayed, hooks) = (String::from_utf8(output.stdout).unwrap(), live.find("\"hooks\":\"").unwrap() + 9);
    let end = hooks + live[hooks..].find('"').unwrap();
    assert_eq!(replayed, format!("{}replay{}", &live[..hooks], &live[end..]));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_replay_takes_filters_thresholds_and_a_duration() {
    let Some(leaktrace) = leaktrace() else { return };
    let folder = Folder::new("options");
    let (recording, _) = record(&leaktrace, &folder);
    let replay = |words: &[&str]| {
        reported(&run(&leaktrace, &[&["report", "--format", "json", "--replay", &recording], words].concat()))
    };
    assert_eq!(replay(&["--pid", "1"])["totals"]["open"], 0);
    let strict = replay(&["--stall", "1h", "--threshold", "1h", "--idle", "1h"]);
    assert_eq!((&strict["totals"]["flagged"], &strict["settings"]["stall_s"]), (&0.into(), &3600.0.into()));
    assert!(replay(&["--duration", "0s"])["window"]["seconds"].as_f64().unwrap() < 1.0);
    assert!(replay(&["--duration", "2s"])["window"]["seconds"].as_f64().unwrap() <= 2.0);
    let tables = run(&leaktrace, &["top", "--replay", &recording]);
    assert_eq!(tables.status.code(), Some(0));
    assert!(String::from_utf8(tables.stdout).unwrap().matches(" open, ").count() >= 4);
}

#[test]
fn what_was_written_before_sigkill_replays_and_says_so() {
    let Some(leaktrace) = leaktrace() else { return };
    let folder = Folder::new("killed");
    let recording = folder.path("r.ltr");
    let mut tracer =
        Tracer::start(&leaktrace, &["record", "-o", &recording, "--interval", "200ms", "--cpu-budget", "0"]).unwrap();
    assert!(tracer.wait_until_attached().unwrap());
    std::thread::sleep(Duration::from_secs(2));
    tracer.signal(Signal::SIGKILL).unwrap();
    tracer.wait().unwrap();
    let output = run(&leaktrace, &["report", "--format", "json", "--replay", &recording]);
    let report = reported(&output);
    assert!(report["window"]["seconds"].as_f64().unwrap() > 0.5);
    let degraded = report["health"]["degraded"].as_array().unwrap();
    assert!(degraded.iter().any(|one| one["feature"] == "recording"), "{degraded:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("the recording has no end"));
}

#[test]
fn a_full_disk_ends_the_recording_and_what_is_on_it_replays() {
    let Some(leaktrace) = leaktrace() else { return };
    let folder = Folder::new("full");
    let place = folder.0.clone();
    let script = "\"$0\" record -o \"$1/r.ltr\" --interval 50ms --cpu-budget 0 --duration 1m; status=$?
        \"$0\" report --replay \"$1/r.ltr\" --format json || exit 3; exit $status";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(&leaktrace).arg(&folder.0);
    let small_disk = move || {
        let none: Option<&str> = None;
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        mount(Some("none"), &place, Some("tmpfs"), MsFlags::empty(), Some("size=128k"))?;
        // What other processes do fills it up before the minute is over, or this does.
        std::fs::write(place.join("ballast"), [1; 64 << 10])
    };
    // SAFETY: between fork and exec only this thread is there, and nothing it does takes a lock of another.
    unsafe { shell.pre_exec(small_disk) };
    let output = match shell.output() {
        Ok(output) => output,
        Err(error) => return subject::skip_for_want_of_a_mount(&error),
    };
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("no space is left"), "{words}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["window"]["seconds"].as_f64().unwrap() > 0.0, "{words}");
}

#[test]
fn what_is_no_recording_is_refused() {
    let Some(leaktrace) = leaktrace() else { return };
    let folder = Folder::new("foreign");
    let report = folder.path("report.json");
    std::fs::write(&report, "{\"schema_version\":1}").unwrap();
    for command in ["report", "top"] {
        refused(&run(&leaktrace, &[command, "--replay", &report]), &["report.json is no recording"]);
        refused(&run(&leaktrace, &[command, "--replay", folder.0.to_str().unwrap()]), &["no regular file"]);
        refused(&run(&leaktrace, &[command, "--replay", &folder.path("missing")]), &["No such file"]);
    }
    refused(&run(&leaktrace, &["record", "-o", folder.0.to_str().unwrap()]), &["folder"]);
    refused(&run(&leaktrace, &["record", "-o", "/dev/full", "--duration", "0s"]), &["no space"]);
    refused(&run(&leaktrace, &["record", "-o", &folder.path("r"), "--replay", &report]), &["--replay"]);
}
