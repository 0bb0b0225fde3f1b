//! Compares a program's truth with a report; every contradiction becomes a sentence. Has no clock, and asks the kernel for its
//! version only.

mod callsite;
mod complaints;
mod socket;
pub mod terms;
#[cfg(test)]
mod tests;
mod verdicts;

use super::report::{Report, Socket};
use crate::truth::{Expect, ProcessTruth, Truth, severity};
use complaints::{Complaints, name};
use std::collections::BTreeSet;
use terms::{Started, Terms};

/// What the report says against one class.
pub fn class(expect: &Expect, report: &Report, terms: &Terms) -> Vec<String> {
    let mut complaints = Complaints::about(&expect.role);
    let sockets = members(expect, report, terms);
    if let Some(count) = expect.count
        && sockets.len() as u64 != count
    {
        let states: BTreeSet<&str> = sockets.iter().map(|socket| socket.state.as_str()).collect();
        complaints.add(format!("{} sockets, not {count} (states {states:?})", sockets.len()));
    }
    for socket in &sockets {
        verdicts::check(expect, socket, terms, &mut complaints);
        socket::check(expect, socket, report, terms, &mut complaints);
    }
    check_names(expect, &sockets, &mut complaints);
    if terms.started == Started::AfterTracer {
        callsite::check(expect, &sockets, report, terms, &mut complaints);
    }
    complaints.list
}

/// What a healthy program holds or opened, in a class or not: nothing may be flagged above info.
pub fn innocence(truth: &Truth, report: &Report) -> Vec<String> {
    let tolerated = |verdict: &&String| truth.expect.iter().any(|class| class.tolerated.contains(verdict));
    let ours =
        |socket: &&Socket| socket.pid == Some(truth.pid) || socket.holders.iter().any(|holder| holder.pid == truth.pid);
    let accused = |socket: &Socket| {
        let list = socket.verdicts.iter().filter(|verdict| severity(verdict) != "info");
        let list: Vec<&String> = list.filter(|verdict| !tolerated(verdict)).collect();
        (!list.is_empty()).then(|| format!("{} is accused of {list:?}", name(socket)))
    };
    report.sockets.iter().filter(ours).filter_map(accused).take(Complaints::MOST).collect()
}

/// What the report says against a process.
pub fn process(truth: &ProcessTruth, report: &Report) -> Vec<String> {
    let Some(process) = report.processes.iter().find(|process| process.pid == truth.pid) else {
        return vec![format!("process {} is not in the report", truth.pid)];
    };
    let mut list = Vec::new();
    if process.fds_open != Some(truth.fds_open) {
        list.push(format!("fds_open {:?}, not {}", process.fds_open, truth.fds_open));
    }
    if process.fds_limit != Some(truth.fds_limit) {
        list.push(format!("fds_limit {:?}, not {}", process.fds_limit, truth.fds_limit));
    }
    list
}

fn members<'a>(expect: &Expect, report: &'a Report, terms: &Terms) -> Vec<&'a Socket> {
    let netns = expect.netns.unwrap_or(terms.home_netns);
    report
        .sockets
        .iter()
        .filter(|socket| socket.state != "LISTEN")
        .filter(|socket| socket.netns.is_none_or(|found| found == netns))
        // A port may be bound in both families, for two programs.
        .filter(|socket| socket.local.starts_with('[') == (expect.family.as_deref() == Some("ipv6")))
        .filter(|socket| expect.local_port.is_none_or(|port| socket.local_port() == Some(port)))
        .filter(|socket| expect.remote_port.is_none_or(|port| socket.remote_port() == Some(port)))
        // Another program's client may have the same port at another local address.
        .filter(|socket| socket.direction == expect.direction || socket.pid.is_none() || socket.pid == expect.pid)
        .filter(|socket| expect.only_state.as_ref().is_none_or(|state| socket.state == *state))
        .collect()
}

fn check_names(expect: &Expect, sockets: &[&Socket], complaints: &mut Complaints) {
    if expect.sockets.is_empty() {
        return;
    }
    let right: BTreeSet<(&str, &str)> =
        expect.sockets.iter().map(|truth| (truth.local.as_str(), truth.remote.as_str())).collect();
    let found: BTreeSet<(&str, &str)> =
        sockets.iter().map(|socket| (socket.local.as_str(), socket.remote.as_str())).collect();
    if let Some(example) = right.difference(&found).next() {
        complaints.add(format!("{} addresses are missing, such as {example:?}", right.difference(&found).count()));
    }
}
