//! The columns of the call sites.

use super::cells::{self, verdict_column};
use super::tally;
use super::{Around, Cell, Column, Sort, Tabular, left, right};
use crate::{
    frames::{culprit, culprit_name},
    names::Names,
    row_key::host_of,
    text::{clean, short_function},
    theme::Role,
};
use leaktrace_model::snapshot::Callsite;
use leaktrace_output::base_name;
use std::borrow::Cow;

impl Tabular for Callsite {
    fn columns() -> &'static [Column<Self>] {
        COLUMNS
    }
}

static COLUMNS: &[Column<Callsite>] = &[
    tally::how_bad(),
    left("PROCESS", "name of the process", [8, 14, 16], 0)
        .shows(|row, around| cells::foreign(&row.comm, around, Role::Text), Sort::Text(|row| &row.comm)),
    left("CALL SITE", "the function that opened the sockets", [14, 30, 48], 0).shows(site, Sort::Text(function)),
    left("SOURCE", "source file and line of that function", [12, 20, 32], 4)
        .shows(source, Sort::Text(|row| culprit(row).and_then(|frame| frame.file.as_deref()).unwrap_or_default())),
    left("DIR", "connect or accept", [7, 7, 7], 7)
        .shows(|row, around| cells::foreign(&row.direction, around, Role::Faint), Sort::Text(|row| &row.direction)),
    tally::open("sockets open now"),
    tally::flagged("open sockets with a verdict"),
    tally::growth(),
    tally::trend(Sort::Number(|row, _| row.growth_per_min)),
    right("OLDEST", "age of the oldest", [7, 7, 7], 1)
        .shows(|row, around| cells::age(row.oldest_s, row.oldest_exact, around), Sort::Number(|row, _| row.oldest_s)),
    tally::verdicts(),
    verdict_column::<_, 0>(),
    verdict_column::<_, 1>(),
    verdict_column::<_, 2>(),
    verdict_column::<_, 3>(),
    verdict_column::<_, 4>(),
    verdict_column::<_, 5>(),
    verdict_column::<_, 6>(),
    verdict_column::<_, 7>(),
    verdict_column::<_, 8>(),
    verdict_column::<_, 9>(),
    tally::unread(),
    tally::memory("kernel memory", 6),
    right("LIFE50", "median lifetime of the sockets closed in the window", [6, 6, 6], 7).shows(
        |row, around| cells::span(row.lifetime_s.as_ref().map(|life| life.p50), around),
        Sort::Number(|row, _| row.lifetime_s.as_ref().map(|life| life.p50)),
    ),
    right("OPENED", "opened in the window", [6, 6, 6], 8)
        .shows(|row, around| cells::count(row.opened, around), Sort::Number(|row, _| Some(row.opened as f64))),
    right("CLOSED", "closed in the window", [6, 6, 6], 8)
        .shows(|row, around| cells::count(row.closed, around), Sort::Number(|row, _| Some(row.closed as f64))),
    left("PEER", "the peer with the most sockets", [14, 21, 24], 9)
        .shows(peer, Sort::Address(|row| row.peers.first().map_or("", |peer| &peer.peer))),
    right("PIDS", "processes that opened sockets here", [7, 7, 7], 9)
        .shows(pids, Sort::Number(|row, _| row.pids.first().map(|pid| f64::from(*pid)))),
];

fn function(row: &Callsite) -> &str {
    culprit(row).and_then(|frame| frame.symbol.as_deref()).map(short_function).unwrap_or_default()
}

fn site<'a>(row: &'a Callsite, around: &Around<'a>) -> Cell<'a> {
    if let Some(extra) = around.extra {
        let noun = if extra.members == 1 { "call site" } else { "call sites" };
        return cells::own(format!("{} {noun}", extra.members), around, Role::Faint);
    }
    match culprit_name(row) {
        Some(name) => {
            let resolved = culprit(row).is_some_and(|frame| frame.symbol.is_some());
            let role = if resolved { Role::Strong } else { Role::Text };
            cells::own(clean(&name, around.charset).into_owned(), around, role)
        }
        None => cells::own("stack unknown", around, Role::Faint),
    }
}

fn source<'a>(row: &'a Callsite, around: &Around<'a>) -> Cell<'a> {
    let Some((file, line)) = culprit(row).and_then(|frame| Some((frame.file.as_deref()?, frame.line))) else {
        return cells::absent(around);
    };
    let file = clean(base_name(file), around.charset);
    let text = match line {
        Some(line) => Cow::Owned(format!("{file}:{line}")),
        None => file,
    };
    cells::own(text, around, Role::Text)
}

fn peer<'a>(row: &'a Callsite, around: &Around<'a>) -> Cell<'a> {
    let Some(first) = row.peers.first() else { return cells::absent(around) };
    cells::foreign(named(around.names, &first.peer), around, Role::Text)
}

/// The name of a peer where it is known, else the peer.
pub fn named<'a>(names: &'a Names, peer: &'a str) -> &'a str {
    names.get(host_of(peer)).unwrap_or(peer)
}

fn pids<'a>(row: &'a Callsite, around: &Around<'a>) -> Cell<'a> {
    match row.pids.as_slice() {
        [] => cells::absent(around),
        [pid] => cells::own(pid.to_string(), around, Role::Text),
        more => cells::own(format!("{}{}", around.charset.times(), more.len()), around, Role::Text),
    }
}
