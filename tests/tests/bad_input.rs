//! Bad input and hosts that cannot do it: one sentence, status 2, and no half-written file.
#![allow(clippy::unwrap_used)]

mod subject;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};
use subject::{Folder, command, leaktrace, refused, reported, run, run_as_nobody, skip_for_want_of_a_mount};

#[test]
fn a_user_without_privileges_is_told_which_are_missing() {
    let Some(leaktrace) = leaktrace() else { return };
    let output = run_as_nobody(&leaktrace, &["report", "--duration", "0s"]);
    refused(&output, &["root|sudo|CAP_BPF"]);
}

#[test]
fn a_threshold_that_is_no_duration_is_named() {
    let Some(leaktrace) = leaktrace() else { return };
    refused(&run(&leaktrace, &["report", "--threshold", "banana"]), &["banana", "threshold"]);
}

#[test]
fn every_option_refuses_what_it_cannot_take() {
    let Some(leaktrace) = leaktrace() else { return };
    for (option, value) in [
        ("--stall", "banana"),
        ("--idle", "-1s"),
        ("--interval", "banana"),
        ("--interval", "0s"),
        ("--duration", "banana"),
        ("--pid", "banana"),
        ("--pid", "-1"),
        ("--port", "70000"),
        ("--port", "banana"),
        ("--peer", "banana"),
        ("--peer", "10.0.0.0/33"),
        ("--direction", "sideways"),
        ("--hooks", "banana"),
        ("--format", "banana"),
        ("--max-sockets", "banana"),
        ("--fail-on", "banana"),
    ] {
        println!("{option} {value}");
        let mention = format!("{value}|{option}");
        refused(&run(&leaktrace, &["report", &format!("{option}={value}")]), &[&mention]);
    }
}

#[test]
fn a_variable_that_is_no_duration_is_named() {
    let Some(leaktrace) = leaktrace() else { return };
    let output = command(&leaktrace, &["report"]).env("LEAKTRACE_THRESHOLD", "banana").output().unwrap();
    refused(&output, &["banana", "threshold"]);
}

#[test]
fn a_flag_wins_over_a_variable() {
    let Some(leaktrace) = leaktrace() else { return };
    let words = ["report", "--duration", "0s", "--format", "json", "--threshold", "7s"];
    let with = |value: &str| command(&leaktrace, &words).env("LEAKTRACE_THRESHOLD", value).output().unwrap();
    assert_eq!(reported(&with("5m"))["settings"]["threshold_s"], 7.0);
    let words = &words[..5];
    let output = command(&leaktrace, words).env("LEAKTRACE_THRESHOLD", "5m").output().unwrap();
    assert_eq!(reported(&output)["settings"]["threshold_s"], 300.0);
}

#[test]
fn an_unknown_command_or_option_is_refused() {
    let Some(leaktrace) = leaktrace() else { return };
    refused(&run(&leaktrace, &["banana"]), &["banana"]);
    refused(&run(&leaktrace, &["report", "--banana"]), &["banana"]);
}

#[test]
fn a_process_that_is_not_there_is_named() {
    let Some(leaktrace) = leaktrace() else { return };
    // Beyond every pid_max.
    refused(&run(&leaktrace, &["report", "--pid", "4194399", "--duration", "1s"]), &["4194399"]);
}

#[test]
fn an_output_file_that_cannot_be_written_is_refused_before_the_watch() {
    let Some(leaktrace) = leaktrace() else {
        return;
    };
    let folder = Folder::new("outputs");
    let missing = folder.path("missing/report.json");
    for (place, mention) in [(missing.as_str(), "missing"), (folder.0.to_str().unwrap(), "director|folder")] {
        let start = Instant::now();
        // An hour would be noticed.
        let output = run(&leaktrace, &["report", "--duration", "60s", "-o", place]);
        refused(&output, &[place, mention]);
        assert!(start.elapsed() < Duration::from_secs(50), "watched for a minute before it looked");
    }
    assert!(folder.is_empty(), "left something behind");
}

#[test]
fn a_full_disk_is_reported() {
    let Some(leaktrace) = leaktrace() else { return };
    let words = ["report", "--duration", "0s", "--format", "json", "--all"];
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = command(&leaktrace, &words).stdout(full).output().unwrap();
    refused(&output, &["space|full"]);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let Some(leaktrace) = leaktrace() else { return };
    for format in ["json", "text"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let words = ["report", "--duration", "0s", "--all", "--format", format];
        let output = command(&leaktrace, &words).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{format}: {:?} {words}", output.status);
        assert!(!words.to_lowercase().contains("pipe"), "{words}");
    }
}

#[test]
fn a_kernel_without_btf_is_told_so() {
    let Some(leaktrace) = leaktrace() else { return };
    if let Some(output) = run_with(&leaktrace, "/dev/null", "/sys/kernel/btf/vmlinux") {
        refused(&output, &["BTF|vmlinux"]);
    }
}

#[test]
fn a_kernel_older_than_the_iterators_is_told_so() {
    let Some(leaktrace) = leaktrace() else { return };
    let folder = Folder::new("old-kernel");
    let release = folder.path("osrelease");
    std::fs::write(&release, "4.19.0-27-amd64\n").unwrap();
    if let Some(output) = run_with(&leaktrace, &release, "/proc/sys/kernel/osrelease") {
        refused(&output, &["4.19.0-27-amd64", "5.9", "newer kernel"]);
    }
}

/// Runs a report that finds one file in the place of another; `None`, and says so, where that cannot be arranged.
fn run_with(leaktrace: &PathBuf, file: &str, place: &'static str) -> Option<Output> {
    let mut report = command(leaktrace, &["report", "--duration", "0s"]);
    let file = file.to_owned();
    let exchange = move || {
        let none: Option<&str> = None;
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        mount(Some(file.as_str()), place, none, MsFlags::MS_BIND, none)?;
        Ok(())
    };
    // SAFETY: only system calls between fork and exec.
    unsafe { report.pre_exec(exchange) };
    match report.output() {
        Ok(output) => Some(output),
        Err(error) => {
            skip_for_want_of_a_mount(&error);
            None
        }
    }
}

#[test]
fn a_kind_of_hook_that_is_refused_is_explained() {
    let Some(leaktrace) = leaktrace() else { return };
    for hook in ["fentry", "kprobe", "tracepoint"] {
        let output = run(&leaktrace, &["report", "--duration", "0s", "--format", "json", "--hooks", hook]);
        match output.status.code() {
            Some(0) => assert_eq!(reported(&output)["health"]["hooks"], hook),
            _ => refused(&output, &[hook, "--hooks|instead|use "]),
        }
    }
}

#[test]
fn a_full_table_is_counted_and_costs_only_attribution() {
    let Some(leaktrace) = leaktrace() else { return };
    use leaktrace_tests::suite::{child::ScenarioChild, tracer::Tracer};
    let words = ["report", "--duration", "60s", "--format", "json", "--all", "--max-sockets", "10"];
    let mut tracer = Tracer::start(&leaktrace, &words).unwrap();
    assert!(tracer.wait_until_attached().unwrap(), "{:?}", tracer.wait());
    let mut fifty = ScenarioChild::scenario(env!("CARGO_BIN_EXE_scenarios").as_ref(), "fifty").unwrap();
    let class = fifty.listen().unwrap().expect[0].clone();
    std::thread::sleep(Duration::from_millis(2_500));
    tracer.signal(nix::sys::signal::Signal::SIGTERM).unwrap();
    let (report, _) = tracer.wait().unwrap().report().unwrap();
    let shown = report.sockets.iter().filter(|socket| socket.remote_port() == class.remote_port).count();
    assert_eq!(shown as u64, class.count.unwrap(), "sockets without a record are still sockets");
    assert!(report.health.lost.sockets_unattributed > 0, "nothing is said about {:?}", report.health.lost);
    let unknown = report.sockets.iter().filter(|socket| socket.idle_s.is_none()).count();
    assert!(unknown >= 40, "{unknown} of fifty are said to be of unknown past where ten have a record");
}

#[test]
fn a_process_with_ever_new_stacks_has_few_of_them_copied_at_a_time() {
    let Some(leaktrace) = leaktrace() else { return };
    use leaktrace_tests::suite::tracer::Tracer;
    /// What the hooks copy for one process in a second.
    const RATE: u64 = 128;
    const STACKS: u64 = 400;
    let words = ["report", "--duration", "60s", "--format", "json", "--all"];
    let mut tracer = Tracer::start(&leaktrace, &words).unwrap();
    assert!(tracer.wait_until_attached().unwrap(), "{:?}", tracer.wait());
    let mut deep = std::process::Command::new(env!("CARGO_BIN_EXE_deep"));
    deep.args(["--frames", "12", "--stacks", &STACKS.to_string(), "--seconds", "1"]).stdout(Stdio::piped());
    let deep = deep.spawn().unwrap();
    let pid = deep.id();
    let said: serde_json::Value = serde_json::from_slice(&deep.wait_with_output().unwrap().stdout).unwrap();
    tracer.signal(nix::sys::signal::Signal::SIGTERM).unwrap();
    let (report, _) = tracer.wait().unwrap().report().unwrap();
    let lost = &report.health.lost;
    // It comes by all of them within a fraction of a second, or of two.
    assert!((STACKS - 2 * RATE..=STACKS).contains(&lost.captures), "nothing is said about it: {lost:?}");
    assert_eq!(lost.stacks, 0, "a stack that is not copied has its frame pointers");
    let opened: u64 = report.callsites.iter().filter(|site| site.pids.contains(&pid)).map(|site| site.opened).sum();
    assert_eq!(Some(opened), said["connects"].as_u64(), "and is counted like any other");
}
