//! Filters: one option given twice means either, different options mean both, and the sums follow.
#![allow(clippy::unwrap_used)]

mod subject;

use leaktrace_tests::suite::child::ScenarioChild;
use leaktrace_tests::suite::report::{Report, read};
use leaktrace_tests::suite::tracer::Tracer;
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::time::Duration;
use subject::{leaktrace, reported, run};

fn scenario(name: &str) -> ScenarioChild {
    let mut child = ScenarioChild::scenario(Path::new(env!("CARGO_BIN_EXE_scenarios")), name).unwrap();
    child.listen().unwrap();
    child
}

fn port(child: &ScenarioChild) -> u16 {
    child.truth.expect[0].remote_port.unwrap()
}

fn sample(leaktrace: &PathBuf, filters: &[&str]) -> Report {
    let words = [&["report", "--duration", "0s", "--all", "--format", "json"], filters].concat();
    let output = run(leaktrace, &words);
    reported(&output);
    let (report, _) = read(std::str::from_utf8(&output.stdout).unwrap()).unwrap();
    assert_eq!(report.totals.open, report.sockets.len() as u64, "{filters:?}: totals.open");
    report
}

#[test]
fn a_port_selects_both_ends_and_two_ports_select_either() {
    let Some(leaktrace) = leaktrace() else { return };
    let (first, second) = (scenario("never-read"), scenario("long-lived"));
    let (one, two) = (port(&first).to_string(), port(&second).to_string());
    assert_eq!(sample(&leaktrace, &["--port", &one]).sockets.len(), 10);
    assert_eq!(sample(&leaktrace, &["--port", &one, "--port", &two]).sockets.len(), 20);
}

#[test]
fn a_process_selects_what_it_holds_even_if_it_is_older_than_the_tracer() {
    let Some(leaktrace) = leaktrace() else {
        return;
    };
    let (first, second) = (scenario("never-read"), scenario("long-lived"));
    let report = sample(&leaktrace, &["--pid", &first.truth.pid.to_string()]);
    assert_eq!(report.sockets.len(), 5);
    assert!(report.sockets.iter().all(|socket| socket.remote_port() == Some(port(&first))));
    assert_eq!(report.processes.iter().map(|process| process.pid).collect::<Vec<_>>(), [first.truth.pid]);
    let both = ["--pid", &first.truth.pid.to_string(), "--pid", &second.truth.pid.to_string()];
    assert_eq!(sample(&leaktrace, &both).sockets.len(), 10);
}

#[test]
fn different_options_must_all_match() {
    let Some(leaktrace) = leaktrace() else { return };
    let (first, second) = (scenario("never-read"), scenario("long-lived"));
    let (pid, other) = (first.truth.pid.to_string(), port(&second).to_string());
    assert!(sample(&leaktrace, &["--pid", &pid, "--port", &other]).sockets.is_empty());
    let own = port(&first).to_string();
    assert_eq!(sample(&leaktrace, &["--pid", &pid, "--port", &own]).sockets.len(), 5);
}

#[test]
fn a_network_selects_peers_of_both_families() {
    let Some(leaktrace) = leaktrace() else { return };
    let (four, six) = (scenario("mapped"), scenario("ipv6"));
    let (four_port, six_port) = (port(&four).to_string(), port(&six).to_string());
    let ports = ["--port", &four_port, "--port", &six_port];
    let with = |peer: &str| sample(&leaktrace, &[&ports[..], &["--peer", peer]].concat()).sockets.len();
    assert_eq!(with("127.0.0.0/8"), 8);
    assert_eq!(with("127.0.0.1"), 8);
    assert_eq!(with("::1"), 8);
    assert_eq!(with("10.0.0.0/8"), 0);
    assert_eq!(with("0.0.0.0/0"), 8);
}

#[test]
fn a_name_selects_processes_of_that_name() {
    let Some(leaktrace) = leaktrace() else { return };
    let child = scenario("never-read");
    let own = port(&child).to_string();
    assert_eq!(sample(&leaktrace, &["--port", &own, "--comm", "scenarios"]).sockets.len(), 10);
    assert_eq!(sample(&leaktrace, &["--port", &own, "--comm", "nosuchname"]).sockets.len(), 0);
}

#[test]
fn a_direction_selects_one_end() {
    let Some(leaktrace) = leaktrace() else { return };
    for direction in ["connect", "accept"] {
        let words = [
            "report",
            "--duration",
            "60s",
            "--all",
            "--format",
            "json",
            "--comm",
            "scenarios",
            "--direction",
            direction,
        ];
        let mut tracer = Tracer::start(&leaktrace, &words).unwrap();
        assert!(tracer.wait_until_attached().unwrap(), "{:?}", tracer.wait());
        let child = scenario("never-read");
        std::thread::sleep(Duration::from_millis(1_500));
        tracer.signal(Signal::SIGINT).unwrap();
        let (report, _) = tracer.wait().unwrap().report().unwrap();
        let wanted = Some(port(&child));
        let ours = |socket: &&leaktrace_tests::suite::report::Socket| {
            socket.local_port() == wanted || socket.remote_port() == wanted
        };
        assert_eq!(report.sockets.iter().filter(ours).count(), 5, "{direction}");
        assert!(report.sockets.iter().all(|socket| socket.direction == direction), "{direction}");
        assert!(report.callsites.iter().all(|site| site.direction == direction), "{direction}");
    }
}

#[test]
fn without_all_only_flagged_sockets_are_listed_but_all_are_counted() {
    let Some(leaktrace) = leaktrace() else { return };
    let child = scenario("long-lived");
    let own = port(&child).to_string();
    let words = ["report", "--duration", "0s", "--format", "json", "--port", &own, "--threshold", "1h"];
    let report = reported(&run(&leaktrace, &words));
    assert_eq!(report["sockets"].as_array().unwrap().len(), 0);
    assert_eq!(report["totals"]["open"], 10);
    assert_eq!(report["totals"]["flagged"], 0);
}
