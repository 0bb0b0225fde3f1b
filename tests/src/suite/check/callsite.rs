//! What a report says of the call sites that a class of sockets comes from.

use super::super::report::{Callsite, Frame, Report, Socket};
use super::complaints::Complaints;
use super::terms::{Symbols, Terms};
use crate::truth::{Calls, Expect, Opener};
use std::collections::{BTreeMap, BTreeSet};

/// Their stacks and counts, what they have closed, whether they grow.
pub fn check(expect: &Expect, sockets: &[&Socket], report: &Report, terms: &Terms, complaints: &mut Complaints) {
    check_sites(expect, sockets, report, terms, complaints);
    check_closed(expect, report, complaints);
    check_growth(expect, sockets, report, complaints);
}

fn check_sites(expect: &Expect, sockets: &[&Socket], report: &Report, terms: &Terms, complaints: &mut Complaints) {
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
    let on_stack = |frame: &Frame| frame.symbol.as_ref().is_some_and(|symbol| symbol.contains(function));
    if terms.symbols == Symbols::Expected && !site.stack.iter().any(on_stack) {
        let symbols: Vec<&str> = site.stack.iter().map(|frame| frame.symbol.as_deref().unwrap_or("?")).collect();
        complaints.add(format!("{function} is not on the stack {symbols:?}"));
    }
    if terms.symbols == Symbols::Expected && !expect.callers.is_empty() {
        check_callers(function, &expect.callers, site, complaints);
    }
}

/// The callers in order, on a complete stack: a wrong walk finds neither.
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
    // The process has ended, so its call site may no longer list it.
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
        let what = match found.iter().all(|(_, growing, _)| growing.is_none()) {
            true if !found.is_empty() => "too few samples to judge growth",
            _ => "no call site grows",
        };
        complaints.add(format!("{what}: (open, growing, growth_per_min) {found:?}"));
    }
    // A call site that is shared with others may well grow by them.
    let accused = sites.iter().find(|site| site.pids == [pid] && site.growing == Some(true));
    if let Some(site) = accused.filter(|_| !growing) {
        complaints.add(format!("a call site with {} open is called growing", site.open));
    }
}
