//! Holds one class of sockets against a report; every contradiction becomes a sentence. Pure: no clock, no kernel.

use super::report::{Callsite, Report, Socket, unix_seconds};
use crate::truth::{Calls, Expect, Opener, ProcessTruth, Truth, severity};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a program's sockets are older than the tracer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// Adopted: the age is a lower bound, the opener unknown.
    BeforeTracer,
    /// Opened under the tracer's eyes.
    AfterTracer,
}

/// Whether reports carry function names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbols {
    /// Look for the leaking function on the stack.
    Expected,
    /// The same, but only for programs that are there for their names.
    OfLanguages,
    /// Only one call site is asked for.
    Ignored,
}

/// What a report is held against besides the truth.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// When the program began.
    pub started: Started,
    /// `--threshold`
    pub threshold_s: f64,
    /// `--stall`
    pub stall_s: f64,
    /// `--idle`
    pub idle_s: f64,
    /// By how much an age may be off.
    pub age_margin_s: f64,
    /// Names on stacks.
    pub symbols: Symbols,
    /// The namespace that the suite runs in.
    pub home_netns: u64,
}

/// What the report says against one class.
pub fn class(expect: &Expect, report: &Report, terms: &Terms) -> Vec<String> {
    let mut complaints = Complaints { role: expect.role.clone(), list: Vec::new() };
    let sockets = members(expect, report, terms);
    if let Some(count) = expect.count
        && sockets.len() as u64 != count
    {
        let states: BTreeSet<&str> = sockets.iter().map(|socket| socket.state.as_str()).collect();
        complaints.add(format!("{} sockets, not {count} (states {states:?})", sockets.len()));
    }
    for socket in &sockets {
        check_socket(expect, socket, report, terms, &mut complaints);
    }
    check_names(expect, &sockets, &mut complaints);
    if terms.started == Started::AfterTracer {
        check_callsite(expect, &sockets, report, terms, &mut complaints);
        check_closed(expect, report, &mut complaints);
        check_growth(expect, &sockets, report, &mut complaints);
    }
    complaints.list
}

/// Whatever a healthy program holds or opened, classes or not: nothing may be flagged above info.
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

/// Distinct complaints with an example each, so that a thousand equal ones stay readable.
struct Complaints {
    role: String,
    list: Vec<String>,
}

impl Complaints {
    const MOST: usize = 6;

    fn add(&mut self, what: String) {
        if self.list.len() < Self::MOST {
            self.list.push(format!("{}: {what}", self.role));
        }
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, socket: &Socket, what: &str, found: T, right: T) {
        if found != right {
            self.add(format!("{} {what} {found:?}, not {right:?}", name(socket)));
        }
    }
}

fn name(socket: &Socket) -> String {
    format!("{}→{} {}", socket.local, socket.remote, socket.state)
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

fn check_socket(expect: &Expect, socket: &Socket, report: &Report, terms: &Terms, complaints: &mut Complaints) {
    check_verdicts(expect, socket, terms, complaints);
    check_evidence(socket, terms, complaints);
    if let Some(state) = &expect.state {
        complaints.equal(socket, "state", socket.state.as_str(), state.as_str());
    }
    if let Some(family) = &expect.family {
        complaints.equal(socket, "family", socket.family.as_str(), family.as_str());
    }
    if let Some(right) = &expect.holders {
        let mut found: Vec<u32> = socket.holders.iter().map(|holder| holder.pid).collect();
        found.sort_unstable();
        complaints.equal(socket, "holders", &found, right);
    }
    complaints.equal(socket, "netns", socket.netns, Some(expect.netns.unwrap_or(terms.home_netns)));
    // The kernel numbers a socket when somebody asks, and nobody can ask about one that is in no table.
    let unknown = socket.cookie.is_none() && !matches!(socket.state.as_str(), "TIME_WAIT" | "CLOSED");
    if socket.cookie == Some(0) || unknown && kernel_makes_cookies() {
        complaints.add(format!("{} cookie {:?}", name(socket), socket.cookie));
    }
    for (what, found, range) in [
        ("rx_queue_bytes", socket.rx_queue_bytes, expect.rx_queue_bytes),
        ("tx_queue_bytes", socket.tx_queue_bytes, expect.tx_queue_bytes),
        ("bytes_received", socket.bytes_received, expect.bytes_received.map(|bytes| [bytes, bytes])),
        ("bytes_read", socket.bytes_read, expect.bytes_read.map(|bytes| [bytes, bytes])),
    ] {
        if let Some([least, most]) = range
            && !(least..=most).contains(&found)
        {
            complaints.add(format!("{} {what} {found}, not {least}..={most}", name(socket)));
        }
    }
    if expect.keepalive.is_some() {
        complaints.equal(socket, "keepalive", socket.keepalive, expect.keepalive);
    }
    if expect.user_timeout_ms.is_some() {
        complaints.equal(socket, "user_timeout_ms", socket.user_timeout_ms, expect.user_timeout_ms);
    }
    if expect.waiters.is_some() {
        complaints.equal(socket, "waiters", socket.waiters, expect.waiters);
    }
    check_opener(expect, socket, terms, complaints);
    check_age(expect, socket, report, terms, complaints);
}

fn check_verdicts(expect: &Expect, socket: &Socket, terms: &Terms, complaints: &mut Complaints) {
    let found: BTreeSet<&str> =
        socket.verdicts.iter().map(String::as_str).filter(|name| *name != "long-lived").collect();
    let right: BTreeSet<&str> = expect.verdicts.iter().map(String::as_str).collect();
    let allowed: BTreeSet<&str> = expect.tolerated.iter().map(String::as_str).collect();
    let wrong: Vec<&&str> = found.difference(&right).filter(|name| !allowed.contains(**name)).collect();
    let absent: Vec<&&str> = right.difference(&found).collect();
    if !wrong.is_empty() {
        complaints.add(format!("{} is accused of {wrong:?}", name(socket)));
    }
    if !absent.is_empty() {
        complaints.add(format!("{} lacks {absent:?} (has {:?})", name(socket), socket.verdicts));
    }
    let long_lived = socket.verdicts.iter().any(|name| name == "long-lived");
    let alone = ["not-accepted"].iter().any(|only| found.contains(only));
    // Sockets that nobody holds (closed, or in an accept queue) need not be long-lived at any age.
    let held = !socket.holders.is_empty();
    if alone && long_lived {
        complaints.add(format!("{} is in an accept queue and long-lived", name(socket)));
    } else if long_lived && socket.age_s < terms.threshold_s {
        complaints.add(format!("{} is long-lived at {:.3} s", name(socket), socket.age_s));
    } else if !long_lived && !alone && held && socket.state == "ESTABLISHED" && socket.age_s > terms.threshold_s {
        complaints.add(format!("{} is not long-lived at {:.3} s", name(socket), socket.age_s));
    }
    if matches!(socket.state.as_str(), "LISTEN" | "TIME_WAIT") && !socket.verdicts.is_empty() {
        complaints.add(format!("{} has verdicts {:?}", name(socket), socket.verdicts));
    }
}

/// A verdict's evidence stands beside it.
fn check_evidence(socket: &Socket, terms: &Terms, complaints: &mut Complaints) {
    for verdict in &socket.verdicts {
        let needed = match verdict.as_str() {
            "idle-unguarded" => terms.idle_s,
            "long-lived" => terms.threshold_s,
            _ => terms.stall_s,
        };
        let proved = match verdict.as_str() {
            // Nothing can have lasted longer than the socket itself: history left by an earlier socket would.
            _ if socket.age_s < needed => false,
            "close-wait" => socket.state == "CLOSE_WAIT",
            "dead-held" => socket.state == "CLOSED" && !socket.holders.is_empty(),
            "never-read" => {
                socket.rx_queue_bytes > 0
                    && socket.bytes_read == 0
                    && socket.unread_s.is_some_and(|seconds| seconds >= terms.stall_s)
            }
            "read-stalled" => {
                socket.rx_queue_bytes > 0
                    && socket.bytes_read > 0
                    && socket.unread_s.is_some_and(|seconds| seconds >= terms.stall_s)
            }
            "write-stalled" => socket.tx_queue_bytes > 0,
            "silent-peer" => socket.state == "ESTABLISHED" && socket.bytes_received == 0,
            "connecting" => socket.state == "SYN_SENT",
            "not-accepted" => socket.holders.is_empty() && socket.verdicts.len() == 1,
            "idle-unguarded" => {
                socket.state == "ESTABLISHED"
                    && socket.tx_queue_bytes == 0
                    && socket.keepalive == Some(false)
                    && socket.user_timeout_ms.is_none_or(|timeout| timeout == 0)
                    && socket.idle_s.is_some_and(|seconds| seconds >= terms.idle_s)
            }
            "long-lived" => socket.age_s >= terms.threshold_s,
            _ => false,
        };
        if !proved {
            let age = socket.age_s;
            complaints.add(format!("{} is called {verdict} without evidence at {age:.3} s", name(socket)));
        }
    }
}

fn check_opener(expect: &Expect, socket: &Socket, terms: &Terms, complaints: &mut Complaints) {
    let direction_known = socket.direction == expect.direction;
    let unknown = socket.direction == "unknown";
    match (terms.started, expect.opener) {
        (Started::AfterTracer, Opener::Certain) => {
            complaints.equal(socket, "direction", socket.direction.as_str(), expect.direction.as_str());
            if expect.pid.is_some() {
                complaints.equal(socket, "pid", socket.pid, expect.pid);
                complaints.equal(socket, "comm", socket.comm.as_deref(), expect.comm.as_deref());
                if socket.tid.is_none() {
                    complaints.add(format!("{} has no tid", name(socket)));
                }
            }
        }
        (Started::BeforeTracer, _) | (_, Opener::Nobody) => {
            complaints.equal(socket, "pid", socket.pid, None);
            if !direction_known && !unknown {
                complaints.add(format!("{} direction {}, not {}", name(socket), socket.direction, expect.direction));
            }
        }
        (Started::AfterTracer, Opener::PerhapsUnknown) => {
            if socket.pid.is_some() {
                complaints.equal(socket, "pid", socket.pid, expect.pid);
            }
            if !direction_known && !unknown {
                complaints.add(format!("{} direction {}, not {}", name(socket), socket.direction, expect.direction));
            }
        }
    }
}

fn check_age(expect: &Expect, socket: &Socket, report: &Report, terms: &Terms, complaints: &mut Complaints) {
    let Some(end) = unix_seconds(&report.window.end) else {
        return complaints.add(format!("window.end {:?} is no time", report.window.end));
    };
    let named = expect.sockets.iter().find(|truth| truth.local == socket.local && truth.remote == socket.remote);
    let named = named.map(|truth| truth.opened_unix_s).filter(|[first, _]| *first > 0.0);
    let Some([first, last]) = named.or(expect.opened_unix_s) else { return };
    let (oldest, youngest) = (end - first + terms.age_margin_s, end - last - terms.age_margin_s);
    match (terms.started, expect.opener) {
        (Started::AfterTracer, Opener::Certain) => {
            complaints.equal(socket, "age_exact", socket.age_exact, true);
            if !(youngest..=oldest).contains(&socket.age_s) {
                let age = socket.age_s;
                complaints.add(format!("{} age {age:.3} s, not {youngest:.3}..={oldest:.3}", name(socket)));
            }
        }
        (Started::BeforeTracer, _) => {
            complaints.equal(socket, "age_exact", socket.age_exact, false);
            if socket.age_s > oldest {
                complaints.add(format!("{} age ≥ {:.3} s, older than {oldest:.3}", name(socket), socket.age_s));
            }
            // It was there when the tracer came, up to a pass and a half ago.
            if socket.age_s < report.window.seconds - 2.0 - terms.age_margin_s {
                let window = report.window.seconds;
                complaints.add(format!("{} age ≥ {:.3} s in a window of {window:.3}", name(socket), socket.age_s));
            }
        }
        _ => {}
    }
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

fn check_callsite(expect: &Expect, sockets: &[&Socket], report: &Report, terms: &Terms, complaints: &mut Complaints) {
    let (Some(function), Some(pid), Opener::Certain) = (&expect.function, expect.pid, expect.opener) else { return };
    if sockets.is_empty() {
        return;
    }
    let mut groups: BTreeMap<Option<u64>, Vec<&Socket>> = BTreeMap::new();
    for socket in sockets {
        groups.entry(socket.callsite).or_default().push(socket);
    }
    if groups.len() > 1 && expect.calls == Calls::One {
        return complaints.add(format!("{} call sites, not one", groups.len()));
    }
    for sockets in groups.values() {
        match sockets.first().and_then(|socket| socket.site(report)) {
            Some(site) => check_site(expect, sockets, site, (function, pid), terms, complaints),
            None => complaints.add("the call site is not in the report".to_owned()),
        }
    }
}

fn check_site(
    expect: &Expect,
    sockets: &[&Socket],
    site: &Callsite,
    (function, pid): (&str, u32),
    terms: &Terms,
    complaints: &mut Complaints,
) {
    if !site.pids.contains(&pid) {
        complaints.add(format!("call site of {:?}, not {pid}", site.pids));
    }
    if site.direction != expect.direction {
        complaints.add(format!("call site direction {}, not {}", site.direction, expect.direction));
    }
    if site.stack_quality == "missing" || site.stack.is_empty() {
        complaints.add(format!("the stack is {}", site.stack_quality));
    }
    check_counts(expect, sockets, site, complaints);
    let on_stack = |frame: &super::report::Frame| frame.symbol.as_ref().is_some_and(|symbol| symbol.contains(function));
    if terms.symbols == Symbols::Expected && !site.stack.iter().any(on_stack) {
        let symbols: Vec<&str> = site.stack.iter().map(|frame| frame.symbol.as_deref().unwrap_or("?")).collect();
        complaints.add(format!("{function} is not on the stack {symbols:?}"));
    }
    if terms.symbols == Symbols::Expected && !expect.callers.is_empty() {
        check_callers(function, &expect.callers, site, complaints);
    }
}

/// The callers in order, on a stack that is whole: a walk that went astray finds neither.
fn check_callers(function: &str, callers: &[String], site: &Callsite, complaints: &mut Complaints) {
    if site.stack_quality != "complete" {
        complaints.add(format!("the stack is {}", site.stack_quality));
    }
    let mut symbols = site.stack.iter().map(|frame| frame.symbol.as_deref().unwrap_or("?"));
    for wanted in std::iter::once(function).chain(callers.iter().map(String::as_str)) {
        if !symbols.any(|symbol| symbol.contains(wanted)) {
            let found: Vec<&str> = site.stack.iter().map(|frame| frame.symbol.as_deref().unwrap_or("?")).collect();
            return complaints.add(format!("{wanted} is not where it belongs on the stack {found:?}"));
        }
    }
}

fn check_counts(expect: &Expect, sockets: &[&Socket], site: &Callsite, complaints: &mut Complaints) {
    let count = sockets.len() as u64;
    // Several classes may come from one accepting function, never from one leaking function.
    let only = expect.function.as_deref().is_some_and(|function| function.starts_with("leak_")) && site.pids.len() == 1;
    let right = |found: u64| if only { found == count } else { found >= count };
    if !right(site.open) {
        complaints.add(format!("call site has {} open, not {count}", site.open));
    }
    for verdict in &expect.verdicts {
        let found = site.verdicts.get(verdict).copied().unwrap_or_default();
        if !right(found) {
            complaints.add(format!("call site counts {found} {verdict}, not {count}"));
        }
    }
}

fn check_closed(expect: &Expect, report: &Report, complaints: &mut Complaints) {
    let (Some(closed), Some(pid)) = (expect.closed_in_window, expect.pid) else { return };
    // The process is gone, so its call site may name it no longer.
    let ours = |site: &&Callsite| site.pids.contains(&pid) || site.pids.is_empty();
    let sites: Vec<(u64, u64, u64)> = report
        .callsites
        .iter()
        .filter(|site| site.direction == expect.direction)
        .filter(ours)
        .map(|site| (site.open, site.opened, site.closed))
        .collect();
    if !sites.contains(&(0, closed, closed)) {
        complaints.add(format!("no call site has opened and closed {closed}: (open, opened, closed) {sites:?}"));
    }
}

fn check_growth(expect: &Expect, sockets: &[&Socket], report: &Report, complaints: &mut Complaints) {
    let (Some(growing), Some(pid)) = (expect.growing, expect.pid) else { return };
    let ids: BTreeSet<u64> = sockets.iter().filter_map(|socket| socket.callsite).collect();
    let sites: Vec<&Callsite> = report.callsites.iter().filter(|site| ids.contains(&site.id)).collect();
    if growing && !sites.iter().any(|site| site.growing == Some(true)) {
        let found: Vec<(u64, Option<bool>, Option<f64>)> =
            sites.iter().map(|site| (site.open, site.growing, site.growth_per_min)).collect();
        complaints.add(format!("no call site grows: (open, growing, growth_per_min) {found:?}"));
    }
    // A call site that is shared with others may well grow by them.
    let accused = sites.iter().find(|site| site.pids == [pid] && site.growing == Some(true));
    if let Some(site) = accused.filter(|_| !growing) {
        complaints.add(format!("a call site with {} open is called growing", site.open));
    }
}

#[cfg(test)]
mod tests;

/// Whether this kernel lets a tracing program ask for a cookie (5.12): before, a socket has one only if somebody else asked.
fn kernel_makes_cookies() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers =
        release.split(|character: char| !character.is_ascii_digit()).map_while(|word| word.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(u32::MAX), numbers.next().unwrap_or(0));
    version >= (5, 12)
}
