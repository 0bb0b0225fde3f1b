//! Every scenario program's truth, held against the kernel's tables: a wrong truth would make leaktrace look wrong.

#![allow(clippy::unwrap_used)]

mod oracle;

use leaktrace_skip::{Lack, skip};
use leaktrace_tests::scenarios::{CATALOGUE, Kind, find};
use leaktrace_tests::suite::child::ScenarioChild;
use leaktrace_tests::suite::scenario::cue_of;
use leaktrace_tests::suite::skips::{Place, program_may_be_missing};
use leaktrace_tests::truth::{Expect, SocketTruth, Truth};
use oracle::{Line, Oracle, own_namespace};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const SCENARIOS: &str = env!("CARGO_BIN_EXE_scenarios");

#[test]
fn the_kernel_confirms_every_truth() {
    let mut children: Vec<ScenarioChild> = CATALOGUE
        .iter()
        .filter(|program| program.kind != Kind::Part)
        .map(|program| ScenarioChild::scenario(Path::new(SCENARIOS), program.name).unwrap())
        .collect();
    for child in &mut children {
        child.listen().unwrap();
        let cue = find(&child.name).and_then(cue_of).filter(|cue| *cue != "mend");
        if let Some(cue) = cue {
            child.say(cue).unwrap();
            child.listen().unwrap();
        }
    }
    // Threads that are to block must have got there, answers must have been acknowledged.
    std::thread::sleep(Duration::from_millis(500));
    compare(&children, "before mending");
    for child in children.iter_mut().filter(|child| child.name.starts_with("mended-")) {
        child.say("mend").unwrap();
        child.listen().unwrap();
    }
    std::thread::sleep(Duration::from_millis(100));
    compare(&children, "after mending");
    children.iter_mut().for_each(ScenarioChild::release);
}

fn compare(children: &[ScenarioChild], when: &str) {
    // One reading of the tables may miss sockets, see `Oracle::look`, and a slow machine needs more time.
    let patient = |_| {
        std::thread::sleep(Duration::from_secs(1));
        complaints(children)
    };
    let mut complaints = complaints(children);
    if !complaints.is_empty() {
        complaints = (0..5).map(patient).find(Vec::is_empty).unwrap_or(complaints);
    }
    assert!(complaints.is_empty(), "{when}:\n{}", complaints.join("\n"));
}

fn complaints(children: &[ScenarioChild]) -> Vec<String> {
    let oracle = Oracle::look();
    let mut complaints = Vec::new();
    for child in children {
        if let Some(reason) = &child.truth.skip {
            let reason = format!("{}: {reason}", child.name);
            match program_may_be_missing(&child.name, Place::Host) {
                true => skip(Lack::Machine(&reason)),
                // Namespaces, for example, are root's to make.
                false => skip(Lack::Privilege(&reason)),
            }
            continue;
        }
        let found = child.truth.expect.iter().filter_map(|class| contradiction(class, &oracle));
        complaints.extend(found.map(|what| format!("{}: {what}", child.name)));
        complaints.extend(process_contradiction(&child.truth, &oracle));
    }
    complaints
}

fn process_contradiction(truth: &Truth, oracle: &Oracle) -> Option<String> {
    let process = truth.processes.first()?;
    let open = oracle.descriptors.get(&process.pid).copied().unwrap_or_default();
    (open != process.fds_open).then(|| format!("{} has {open} descriptors, not {}", process.pid, process.fds_open))
}

/// Whether it is a connection of the listener that the class names, where it does: another program's listener or client may
/// have the same port at another address.
fn is_at_listener(line: &Line, class: &Expect) -> bool {
    let at = |(address, port)| SocketAddr::new(address, port).to_string();
    let mut named = class.sockets.iter();
    class.sockets.is_empty()
        || match class.remote_port {
            Some(_) => named.any(|socket| socket.remote == at(line.remote)),
            None => named.any(|socket| socket.local == at(line.local)),
        }
}

#[test]
fn a_connection_of_another_program_at_the_same_port_does_not_count() {
    let line = |local: &str, remote: &str, inode| {
        let address = |text: &str| text.parse::<SocketAddr>().map(|at| (at.ip(), at.port())).unwrap();
        let (local, remote) = (address(local), address(remote));
        Line { netns: own_namespace(), local, remote, state: "ESTABLISHED", tx_queue: 0, rx_queue: 0, inode }
    };
    let own = line("127.0.0.1:40000", "127.0.0.1:9999", 1);
    let others = [line("127.3.0.1:9999", "127.0.0.1:9999", 2), line("127.0.0.1:40001", "127.3.0.1:9999", 3)];
    let other_family = line("[::1]:40000", "[::1]:9999", 4);
    let name = |local: &str, remote: &str| SocketTruth {
        local: local.to_owned(),
        remote: remote.to_owned(),
        ..SocketTruth::default()
    };
    let connected = Expect {
        remote_port: Some(9999),
        count: Some(1),
        sockets: vec![name("127.0.0.1:40000", "127.0.0.1:9999")],
        ..Expect::default()
    };
    let accepted = Expect {
        local_port: Some(9999),
        count: Some(1),
        sockets: vec![name("127.3.0.1:9999", "127.0.0.1:9999")],
        ..Expect::default()
    };
    let oracle = |lines: Vec<Line>| Oracle { lines, holders: BTreeMap::new(), descriptors: BTreeMap::new() };
    let strangers = oracle(vec![own.clone(), others[1].clone(), other_family]);
    assert_eq!(contradiction(&connected, &strangers), None);
    let at_home = oracle(vec![own.clone(), others[0].clone()]);
    assert_eq!(contradiction(&accepted, &at_home), None);
    let twice = oracle(vec![own, line("127.0.0.1:40002", "127.0.0.1:9999", 5)]);
    assert!(contradiction(&connected, &twice).is_some(), "one more at the listener is one too many");
}

fn contradiction(class: &Expect, oracle: &Oracle) -> Option<String> {
    let netns = class.netns.unwrap_or_else(own_namespace);
    let found: Vec<&Line> = oracle
        .lines
        .iter()
        .filter(|line| line.netns == netns && line.state != "LISTEN")
        .filter(|line| class.local_port.is_none_or(|port| line.local.1 == port))
        .filter(|line| class.remote_port.is_none_or(|port| line.remote.1 == port))
        .filter(|line| line.local.0.is_ipv6() == (class.family.as_deref() == Some("ipv6")))
        .filter(|line| is_at_listener(line, class))
        .filter(|line| class.only_state.as_deref().is_none_or(|state| line.state == state))
        // What a process has closed stays in the table without an inode for a while; so do unaccepted sockets.
        .filter(|line| line.inode != 0 || class.holders.as_ref().is_some_and(Vec::is_empty))
        .collect();
    let says = |what: String| Some(format!("{}: {what}", class.role));
    if class.state.as_deref() == Some("CLOSED") {
        let first = class.holders.as_ref().and_then(|pids| pids.first()).copied();
        let held = oracle.holders.values().filter(|pids| pids.first().copied() == first).count() as u64;
        return match (found.len(), class.count.unwrap_or_default() <= held) {
            (0, true) => None,
            (alive, _) => says(format!("{alive} are alive, {held} sockets of any kind are held")),
        };
    }
    if class.count.is_some_and(|count| count != found.len() as u64) {
        return says(format!("{} sockets, not {:?}", found.len(), class.count));
    }
    for line in found {
        if class.state.as_deref().is_some_and(|state| state != line.state) {
            return says(format!("{line:?} is not {:?}", class.state));
        }
        let holders = oracle.holders.get(&line.inode).cloned().unwrap_or_default();
        // On older kernels a subflow of MPTCP hangs on a socket of its own that no descriptor names.
        let hidden = class.function.as_deref() == Some("leak_mptcp") && holders.is_empty();
        if class.holders.as_ref().is_some_and(|pids| *pids != holders) && !hidden {
            return says(format!("{line:?} is held by {holders:?}, not {:?}", class.holders));
        }
        // The FIN counts as a byte here.
        let fin = u64::from(line.state == "CLOSE_WAIT");
        let within = |range: Option<[u64; 2]>, value: u64| {
            range.is_none_or(|[least, most]| {
                (least..=most).contains(&value) || (least..=most).contains(&value.saturating_sub(fin))
            })
        };
        if !within(class.rx_queue_bytes, line.rx_queue) || !within(class.tx_queue_bytes, line.tx_queue) {
            return says(format!("{line:?} has other queues than {class:?}"));
        }
    }
    None
}
