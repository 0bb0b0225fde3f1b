//! How leaktrace starts and ends: signals, exit status, output files, and what stays in the kernel.
#![allow(clippy::unwrap_used)]

mod subject;

use leaktrace_tests::suite::child::ScenarioChild;
use leaktrace_tests::suite::tracer::{Outcome, Tracer};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Stdio};
use std::time::{Duration, Instant};
use subject::{Folder, command, leaktrace, refused, reported, run, run_as_nobody};

fn watch(leaktrace: &Path, more: &[&str]) -> Tracer {
    let words = [&["report", "--duration", "10m", "--format", "json"], more].concat();
    let mut tracer = Tracer::start(leaktrace, &words).unwrap();
    assert!(tracer.wait_until_attached().unwrap(), "{:?}", tracer.wait());
    tracer
}

fn interrupted(leaktrace: &Path, signal: Signal) -> Outcome {
    let tracer = watch(leaktrace, &[]);
    let objects = tracer.objects();
    assert!(!objects.programs.is_empty(), "watches without a program");
    tracer.signal(signal).unwrap();
    let outcome = tracer.wait().unwrap();
    assert!(objects.that_stay().is_empty(), "stays in the kernel: {:?}", objects.that_stay());
    outcome
}

#[test]
fn sigint_and_sigterm_end_the_watch_early_and_the_report_still_comes() {
    let Some(leaktrace) = leaktrace() else { return };
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let outcome = interrupted(&leaktrace, signal);
        let (report, missing) = outcome.report().unwrap();
        assert!(report.window.seconds < 60.0, "{signal}: a window of {} s", report.window.seconds);
        assert_eq!(missing, Vec::<String>::new(), "{signal}");
    }
}

#[test]
fn a_signal_before_anything_is_attached_ends_it_too() {
    let Some(leaktrace) = leaktrace() else { return };
    for delay in [0, 5, 20, 60, 120, 250] {
        let tracer = Tracer::start(&leaktrace, &["report", "--duration", "10m"]).unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        let objects = tracer.objects();
        tracer.signal(Signal::SIGINT).unwrap();
        let outcome = tracer.wait().unwrap();
        assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
        assert!(objects.that_stay().is_empty(), "after {delay} ms: {:?}", objects.that_stay());
    }
}

#[test]
fn after_sigkill_nothing_stays_in_the_kernel() {
    let Some(leaktrace) = leaktrace() else { return };
    let outcome = interrupted(&leaktrace, Signal::SIGKILL);
    assert!(outcome.stdout.is_empty(), "a report from the dead");
}

#[test]
fn an_output_file_is_whole_or_not_there() {
    let Some(leaktrace) = leaktrace() else { return };
    let folder = Folder::new("whole");
    let place = folder.path("report.json");
    let tracer = watch(&leaktrace, &["-o", &place]);
    tracer.signal(Signal::SIGKILL).unwrap();
    tracer.wait().unwrap();
    assert!(folder.is_empty(), "half a file is left after SIGKILL");

    let tracer = watch(&leaktrace, &["-o", &place]);
    tracer.signal(Signal::SIGTERM).unwrap();
    let outcome = tracer.wait().unwrap();
    assert_eq!(outcome.status.code(), Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.is_empty(), "the report went to the file and to stdout");
    let text = std::fs::read_to_string(&place).unwrap();
    leaktrace_tests::suite::report::read(&text).unwrap();
}

#[test]
fn an_older_report_survives_until_the_new_one_is_whole() {
    let Some(leaktrace) = leaktrace() else { return };
    let folder = Folder::new("older");
    let place = folder.path("report.json");
    std::fs::write(&place, "the older one").unwrap();
    let tracer = watch(&leaktrace, &["-o", &place]);
    tracer.signal(Signal::SIGKILL).unwrap();
    tracer.wait().unwrap();
    assert_eq!(std::fs::read_to_string(&place).unwrap(), "the older one");
}

#[test]
fn one_sample_takes_no_time_and_prints_a_whole_report() {
    let Some(leaktrace) = leaktrace() else { return };
    let report = reported(&run(&leaktrace, &["report", "--duration", "0s", "--format", "json"]));
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["tool"]["name"], "leaktrace");
}

#[test]
fn samples_that_cost_more_than_the_budget_are_put_apart_and_the_report_says_so() {
    let Some(leaktrace) = leaktrace() else { return };
    let stretched = |budget: &str| {
        let words = ["report", "--duration", "3s", "--interval", "50ms", "--cpu-budget", budget, "--format", "json"];
        let report = reported(&run(&leaktrace, &words));
        let health = &report["health"];
        assert!(health["pass_cpu_s"].as_f64().unwrap() > 0.0 && health["holders_pass_cpu_s"].is_f64(), "{health}");
        let degraded = health["degraded"].as_array().unwrap();
        let reasons = degraded.iter().filter(|one| one["feature"] == "interval").map(|one| one["reason"].to_string());
        reasons.collect::<Vec<_>>()
    };
    let reasons = stretched("0.01");
    assert!(reasons.len() == 1 && reasons[0].contains("--cpu-budget"), "{reasons:?}");
    assert_eq!(stretched("0"), Vec::<String>::new());
}

#[test]
fn stdout_carries_data_only() {
    let Some(leaktrace) = leaktrace() else { return };
    let output = run(&leaktrace, &["report", "--duration", "0s", "--format", "json", "-vv"]);
    reported(&output);
}

#[test]
fn doctor_says_yes_to_root_and_no_to_nobody() {
    let Some(leaktrace) = leaktrace() else { return };
    let output = run(&leaktrace, &["doctor"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!output.stdout.is_empty());
    let output = run(&leaktrace, &["doctor", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();

    // The findings are data, so they come on stdout, and the status says the rest.
    let output = run_as_nobody(&leaktrace, &["doctor"]);
    let words = [&output.stdout[..], &output.stderr[..]].concat();
    let words = String::from_utf8_lossy(&words);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("CAP_BPF") || words.contains("root"), "{words}");
    assert!(!words.contains("panicked"), "{words}");
}

#[test]
fn what_fail_on_names_decides_the_status() {
    let Some(leaktrace) = leaktrace() else { return };
    let mut child = ScenarioChild::scenario(Path::new(env!("CARGO_BIN_EXE_scenarios")), "close-wait").unwrap();
    let pid = child.listen().unwrap().pid.to_string();
    let status = |list: &str, pid: &str| {
        let words =
            ["report", "--duration", "4s", "--stall", "1s", "--format", "json", "--pid", pid, "--fail-on", list];
        run(&leaktrace, &words).status.code()
    };
    assert_eq!(status("leak", &pid), Some(1));
    assert_eq!(status("close-wait", &pid), Some(1));
    assert_eq!(status("any", &pid), Some(1));
    assert_eq!(status("dead-held,never-read", &pid), Some(0));
    // This test holds no connection at all.
    assert_eq!(status("any", &std::process::id().to_string()), Some(0));
}

#[test]
fn without_a_command_and_without_a_terminal_nobody_gets_stuck_in_a_view() {
    let Some(leaktrace): Option<PathBuf> = leaktrace() else { return };
    let words = ["top", "--interval", "200ms"];
    let tracer = Tracer::start(&leaktrace, &words).unwrap();
    std::thread::sleep(Duration::from_secs(6));
    tracer.signal(Signal::SIGTERM).unwrap();
    let outcome = tracer.wait().unwrap();
    assert_eq!(outcome.status.code(), Some(0), "{}", outcome.stderr);
    assert!(!outcome.stdout.contains('\u{1b}'), "escape sequences off a terminal");
    assert!(!outcome.stdout.trim().is_empty(), "no table");
}

#[test]
fn a_reader_that_reads_nothing_keeps_nobody_from_ending() {
    let Some(leaktrace) = leaktrace() else { return };
    let mut command = command(&leaktrace, &["top", "--interval", "50ms"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut unread = child.stdout.take().unwrap();
    fcntl(&unread, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    // A table does not fit, and so one waits to be written when nothing more comes.
    let mut before = 0;
    while before == 0 || waiting(&unread) > before {
        assert_eq!(child.try_wait().unwrap(), None, "it has ended");
        before = waiting(&unread);
        std::thread::sleep(Duration::from_secs(1));
    }
    signal::kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it waits for its reader");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut text = String::new();
    unread.read_to_string(&mut text).unwrap();
    assert!(text.len() >= before, "what was written is gone");
}

/// Bytes in a pipe.
fn waiting(pipe: &ChildStdout) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the place is valid.
    assert_eq!(unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut bytes) }, 0);
    bytes.cast_unsigned() as usize
}

#[test]
fn help_is_data_and_a_wrong_word_is_not() {
    let Some(leaktrace) = leaktrace() else { return };
    let output = run(&leaktrace, &["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
    for command in ["top", "report", "doctor"] {
        assert!(String::from_utf8_lossy(&output.stdout).contains(command), "help does not name {command}");
    }
    refused(&run(&leaktrace, &["report", "extra"]), &["extra"]);
}
