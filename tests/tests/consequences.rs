//! What follows from a finding: `report --until`, `report --on-leak`, `kill`.
#![allow(clippy::unwrap_used)]

mod subject;

use leaktrace_skip::{Lack, skip};
use leaktrace_tests::suite::{child::ScenarioChild, kernel};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use subject::{Folder, command, leaktrace, reported, run};

fn scenario(name: &str) -> ScenarioChild {
    ScenarioChild::scenario(Path::new(env!("CARGO_BIN_EXE_scenarios")), name).unwrap()
}

fn pid_of(child: &mut ScenarioChild) -> String {
    child.listen().unwrap().pid.to_string()
}

#[test]
fn a_watch_ends_as_soon_as_what_it_waits_for_is_found() {
    let Some(leaktrace) = leaktrace() else { return };
    let mut leak = scenario("close-wait");
    let pid = pid_of(&mut leak);
    let begin = Instant::now();
    let words = ["report", "--until", "close-wait", "--duration", "10m", "--stall", "1s", "--format", "json"];
    let report = reported(&run(&leaktrace, &[&words[..], &["--pid", &pid]].concat()));
    assert!(begin.elapsed() < Duration::from_secs(300), "it was not ended early");
    assert!(report["sockets"].as_array().unwrap().iter().any(|socket| socket["verdicts"][0] == "close-wait"));
}

#[test]
fn a_leak_is_told_once_for_each_call_site() {
    let Some(leaktrace) = leaktrace() else { return };
    let mut leak = scenario("close-wait");
    let pid = pid_of(&mut leak);
    let folder = Folder::new("on-leak");
    let place = folder.path("findings");
    let words = ["report", "--duration", "6s", "--stall", "1s", "--format", "json", "--pid", &pid];
    let tell = format!("cat >> {place}; echo said on stdout; exit 7");
    let output = run(&leaktrace, &[&words[..], &["--on-leak", &tell]].concat());
    let report = reported(&output);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("said on stdout") && said.contains("exit status: 7"), "{said}");
    let text = std::fs::read_to_string(&place).unwrap();
    let findings: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let leaking = |site: &&Value| site["verdicts"]["close-wait"].is_u64();
    let sites = report["callsites"].as_array().unwrap().iter().filter(leaking).count();
    assert_eq!(findings.len(), sites, "{text}");
    assert_eq!(findings[0]["sockets"][0]["verdicts"][0], "close-wait");
    assert_eq!(findings[0]["callsite"]["id"], findings[0]["sockets"][0]["callsite"]);
}

/// The lines on stdout: one a socket.
fn lines(output: &Output) -> Vec<String> {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn kill_watches_for_as_long_as_a_verdict_takes() {
    let Some(leaktrace) = leaktrace() else { return };
    let mut leak = scenario("close-wait");
    let pid = pid_of(&mut leak);
    let listed = |verdict: &str| {
        let words = ["kill", "--verdict", verdict, "--pid", &pid, "--stall", "1s", "--interval", "200ms"];
        run(&leaktrace, &words)
    };
    let output = listed("close-wait");
    assert!(!lines(&output).is_empty(), "nothing was found");
    assert!(lines(&output).iter().all(|line| line.contains("close-wait")));
    assert!(String::from_utf8_lossy(&output.stderr).contains("watching for"));
    assert!(lines(&listed("connecting")).is_empty());
}

/// A scenario program in a network namespace of its own.
fn elsewhere(program: &str) -> Option<ScenarioChild> {
    for tool in ["unshare", "ip"] {
        if Command::new(tool).arg("-V").output().is_err() {
            skip(Lack::Program(tool));
            return None;
        }
    }
    let made = Command::new("unshare").args(["--net", "ip", "link", "set", "lo", "up"]).output();
    if !made.is_ok_and(|output| output.status.success()) {
        skip(Lack::Privilege("no network namespace can be made"));
        return None;
    }
    let script = format!("ip link set lo up && exec {} {program}", env!("CARGO_BIN_EXE_scenarios"));
    let mut command = Command::new("unshare");
    Some(ScenarioChild::start(program, command.args(["--net", "sh", "-c", &script])).unwrap())
}

/// Kept from the iterators over maps that passes over records go by, leaktrace uses what stands in for them.
const BY_LISTS: (&str, &str) = ("LEAKTRACE_NO_MAP_ITERATORS", "1");

/// A walk sees this socket before its verdict is due, and no other comes until the report: what is found between is found by way
/// of its record, whose namespace the tracer need not enter.
fn is_found_by_its_record(leaktrace: &PathBuf, variables: &[(&str, &str)]) {
    let Some(mut leak) = elsewhere("close-wait") else { return };
    let pid = pid_of(&mut leak);
    let words = ["report", "--until", "close-wait", "--duration", "10m", "--stall", "2s", "--format", "json"];
    let words = [&words[..], &["--walk-every", "10000", "--pid", &pid]].concat();
    let begin = Instant::now();
    let report = reported(&command(leaktrace, &words).envs(variables.iter().copied()).output().unwrap());
    assert!(begin.elapsed() < Duration::from_secs(300), "it was not ended early");
    assert!(report["sockets"].as_array().unwrap().iter().any(|socket| socket["verdicts"][0] == "close-wait"));
}

#[test]
fn a_pass_over_records_finds_sockets_of_other_namespaces() {
    let Some(leaktrace) = leaktrace() else { return };
    is_found_by_its_record(&leaktrace, &[]);
}

#[test]
fn a_pass_over_lists_of_records_finds_them_too() {
    let Some(leaktrace) = leaktrace() else { return };
    if kernel::version() < (6, 2) {
        return skip(Lack::Kernel("this kernel has no passes by lists", "bpf_rdonly_cast"));
    }
    let doctor = command(&leaktrace, &["doctor"]).envs([BY_LISTS]).output().unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(said.contains("records by lists"), "{said}");
    is_found_by_its_record(&leaktrace, &[BY_LISTS]);
}

/// What `kill` says of a socket before what happened to it.
fn name(line: &str) -> &str {
    line.rsplit_once(": ").map_or(line, |(name, _)| name)
}

#[test]
fn in_another_namespace_exactly_what_was_listed_is_closed() {
    let Some(leaktrace) = leaktrace() else { return };
    let Some(mut away) = elsewhere("close-wait") else { return };
    let mut home = scenario("close-wait");
    let (away, home) = (pid_of(&mut away), pid_of(&mut home));
    let kill = |pid: &str, more: &[&str]| {
        let words = ["kill", "--pid", pid, "--verdict", "close-wait", "--stall", "1s", "--interval", "200ms"];
        run(&leaktrace, &[&words[..], more].concat())
    };
    let (listed, at_home) = (lines(&kill(&away, &[])), lines(&kill(&home, &[])));
    assert!(!listed.is_empty() && !at_home.is_empty());
    let output = kill(&away, &["--yes"]);
    if String::from_utf8_lossy(&output.stdout).contains("CONFIG_INET_DIAG_DESTROY") {
        return skip(Lack::Kernel("this kernel closes no sockets of others", "tcp_diag_destroy"));
    }
    // First what it is about to close, then what became of each.
    let mut announced = lines(&output);
    let closed = announced.split_off(announced.len() / 2);
    assert_eq!(announced.iter().collect::<BTreeSet<_>>(), listed.iter().collect::<BTreeSet<_>>());
    assert!(closed.iter().all(|line| line.ends_with(": closed")), "{closed:?}");
    let names = |lines: &[String]| lines.iter().map(|line| name(line).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(names(&closed), listed.iter().cloned().collect());
    assert_eq!(lines(&kill(&away, &[])), Vec::<String>::new(), "something was left");
    assert_eq!(names(&lines(&kill(&home, &[]))), at_home.iter().cloned().collect(), "somebody else's sockets");
}
