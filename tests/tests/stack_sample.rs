//! `--stack-sample`: whose stacks are left out, how those opens are marked, and that every one of them is counted once.
#![allow(clippy::unwrap_used)]

mod subject;

use leaktrace_tests::suite::child::ScenarioChild;
use leaktrace_tests::suite::report::{Callsite, Report};
use leaktrace_tests::suite::tracer::Tracer;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use subject::leaktrace;

/// Opens in a second from which on one in [`ONE_IN`] is sampled: more than the slow program has, fewer than the fast one has on
/// the slowest machine.
const ABOVE: u64 = 60;
const ONE_IN: u64 = 10;

/// What was opened by the fast program, by its own count, and what the report says of everything.
struct Watched {
    fast: u32,
    connections: u64,
    slow: u32,
    report: Report,
    raw: Value,
}

/// Watches a program that opens fast, and one beside it that does not.
fn watch(leaktrace: &Path, options: &[&str]) -> Watched {
    // Processes of one program that open at one place are one call site, also those of another test.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let words = [&["report", "--duration", "120s", "--all", "--format", "json"], options].concat();
    let mut tracer = Tracer::start(leaktrace, &words).unwrap();
    assert!(tracer.wait_until_attached().unwrap(), "{:?}", tracer.wait());
    let mut slow = ScenarioChild::scenario(Path::new(env!("CARGO_BIN_EXE_scenarios")), "two-callsites").unwrap();
    slow.listen().unwrap();
    let fast = Command::new(env!("CARGO_BIN_EXE_churn"))
        .args(["--seconds", "3", "--threads", "2", "--port", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = fast.id();
    let said = fast.wait_with_output().unwrap().stdout;
    tracer.signal(Signal::SIGINT).unwrap();
    let outcome = tracer.wait().unwrap();
    let raw = serde_json::from_str(&outcome.stdout).unwrap();
    let (report, _) = outcome.report().unwrap();
    let said: Value = serde_json::from_slice(&said).unwrap();
    assert_eq!(said["failed"], 0, "{said}");
    let connections = said["connections"].as_u64().unwrap();
    Watched { fast: pid, connections, slow: slow.truth.pid, report, raw }
}

impl Watched {
    fn of<'a>(&'a self, pid: u32, direction: &'a str) -> impl Iterator<Item = &'a Callsite> {
        self.report.callsites.iter().filter(move |site| site.pids == [pid] && site.direction == direction)
    }

    /// Opens of the fast program by direction: all, and those that are marked as not sampled.
    fn opened(&self, direction: &str) -> (u64, u64) {
        let all = self.of(self.fast, direction).map(|site| site.opened).sum();
        let marked = self.of(self.fast, direction).filter(|site| is_marked(site));
        (all, marked.map(|site| site.opened).sum())
    }
}

impl Watched {
    /// Closed sockets of the fast program by direction, and those with a lifetime.
    fn closed(&self, direction: &str) -> (u64, u64) {
        let sites = self.raw["callsites"].as_array().unwrap().iter();
        let own = sites.filter(|site| site["pids"] == serde_json::json!([self.fast]) && site["direction"] == direction);
        own.map(|site| (&site["closed"], &site["lifetime_s"]["count"])).fold((0, 0), |(closed, lived), site| {
            (closed + site.0.as_u64().unwrap(), lived + site.1.as_u64().unwrap_or(0))
        })
    }
}

/// Whether a call site says that its stacks were left out; then it has none.
fn is_marked(site: &Callsite) -> bool {
    let reason = site.stack_reason.as_deref().unwrap_or_default();
    let marked = reason == format!("not sampled (1 in {ONE_IN})");
    assert_eq!(marked, reason.starts_with("not sampled"), "{reason}");
    assert!(!marked || site.stack.is_empty() && site.stack_quality == "missing", "{site:?}");
    marked
}

#[test]
fn a_process_that_opens_fast_is_sampled_and_a_slow_one_beside_it_is_not() {
    let Some(leaktrace) = leaktrace() else { return };
    let (one_in, above) = (ONE_IN.to_string(), ABOVE.to_string());
    let watched = watch(&leaktrace, &["--stack-sample", &one_in, "--stack-sample-above", &above]);
    let wanted = serde_json::json!({ "one_in": ONE_IN, "above_per_s": ABOVE });
    assert_eq!(watched.raw["settings"]["stack_sample"], wanted);
    for direction in ["connect", "accept"] {
        let (all, marked) = watched.opened(direction);
        assert_eq!(all, watched.connections, "{direction}: every open is counted, and once");
        let sampled = all - marked;
        // The first are all captured. Of the rest a tenth is; three tenths would be chance in no test run ever.
        assert!(sampled > 0 && sampled < ABOVE + all * 3 / ONE_IN, "{direction}: {sampled} of {all} sampled");
        assert!(watched.of(watched.fast, direction).any(|site| !site.stack.is_empty()), "{direction}: no stack");
    }
    let slow: Vec<_> = watched.of(watched.slow, "connect").collect();
    assert_eq!(slow.len(), 2, "one for each function: {slow:?}");
    assert!(slow.iter().all(|site| site.open == 10 && !is_marked(site) && !site.stack.is_empty()), "{slow:?}");
    let degraded = watched.raw["health"]["degraded"].as_array().unwrap();
    assert!(degraded.iter().any(|one| one["reason"].as_str().unwrap().contains("--stack-sample")), "{degraded:?}");
}

#[test]
fn without_being_asked_for_no_stack_is_left_out() {
    let Some(leaktrace) = leaktrace() else { return };
    let watched = watch(&leaktrace, &[]);
    assert!(watched.raw["settings"]["stack_sample"].is_null());
    for direction in ["connect", "accept"] {
        assert_eq!(watched.opened(direction), (watched.connections, 0), "{direction}");
        assert_eq!(watched.closed(direction), (watched.connections, watched.connections), "{direction}");
    }
}
