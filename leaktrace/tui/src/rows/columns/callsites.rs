//! The columns of the call sites.

use super::cells::{self, verdict_columns};
use super::counted;
use super::{Address, Around, Cell, Column, Sort, Tabular, left, right};
use crate::frames::own_frame_name;
use crate::signs::Signs as _;
use crate::text::{clean, short_function};
use crate::theme::Role;
use leaktrace_model::Callsite;
use leaktrace_output::{base_name, own_frame};
use std::borrow::Cow;
use std::sync::LazyLock;

impl Tabular for Callsite {
    fn columns() -> &'static [Column<Self>] {
        static COLUMNS: LazyLock<Vec<Column<Callsite>>> =
            LazyLock::new(|| before().into_iter().chain(verdict_columns()).chain(after()).collect());
        &COLUMNS
    }
}

/// The columns to the left of those of verdicts.
fn before() -> Vec<Column<Callsite>> {
    vec![
        counted::how_bad(),
        left("PROCESS", "name of the process", [8, 14, 16], 0)
            .shows(|row, around| cells::foreign(&row.comm, around, Role::Text), Sort::Text(|row| Cow::from(&row.comm))),
        left("CALL SITE", "the function that opened the sockets", [14, 30, 48], 0).shows(site, Sort::Text(function)),
        left("SOURCE", "source file and line of that function", [12, 20, 32], 4).shows(
            source,
            Sort::Text(|row| Cow::from(own_frame(row).and_then(|frame| frame.file.as_deref()).unwrap_or_default())),
        ),
        left("DIR", "connect or accept", [7, 7, 7], 7).shows(|_, around| cells::opened(around), Sort::Direction),
        counted::open("sockets open now"),
        counted::flagged("open sockets with a verdict"),
        counted::growth(),
        counted::trend(Sort::Number(|row, _| row.trend.map(|trend| trend.per_min))),
        counted::oldest(),
        counted::verdicts(),
    ]
}

/// The columns to the right of those of verdicts.
fn after() -> Vec<Column<Callsite>> {
    vec![
        counted::unread(),
        counted::memory("kernel memory", 6),
        right("LIFE50", "median lifetime of the sockets closed in the window", [6, 6, 6], 7).shows(
            |row, around| cells::span(row.lifetimes.as_ref().map(|lifetimes| lifetimes.p50), around),
            Sort::Number(|row, _| row.lifetimes.as_ref().map(|lifetimes| lifetimes.p50)),
        ),
        right("OPENED", "opened in the window", [6, 6, 6], 8)
            .shows(|row, around| cells::count(row.opened, around), Sort::Number(|row, _| Some(row.opened as f64))),
        right("CLOSED", "closed in the window", [6, 6, 6], 8)
            .shows(|row, around| cells::count(row.closed, around), Sort::Number(|row, _| Some(row.closed as f64))),
        left("PEER", "the peer with the most sockets", [14, 21, 24], 9)
            .shows(peer, Sort::Address(|row| row.peers.first().map(|first| Address::of_peer(first.peer)))),
        right("PIDS", "processes that opened sockets here", [7, 7, 7], 9)
            .shows(pids, Sort::Number(|row, _| row.pids.first().map(|pid| f64::from(*pid)))),
    ]
}

fn function(row: &Callsite) -> Cow<'_, str> {
    Cow::from(own_frame(row).and_then(|frame| frame.symbol.as_deref()).map(short_function).unwrap_or_default())
}

fn site<'a>(row: &'a Callsite, around: &Around<'a>) -> Cell<'a> {
    if let Some(extra) = around.extra {
        let noun = if extra.members == 1 { "call site" } else { "call sites" };
        return cells::own(format!("{} {noun}", extra.members), around, Role::Faint);
    }
    match own_frame_name(row) {
        Some(name) => {
            let resolved = own_frame(row).is_some_and(|frame| frame.symbol.is_some());
            let role = if resolved { Role::Strong } else { Role::Text };
            cells::own(clean(&name, around.glyphs).into_owned(), around, role)
        }
        None => cells::own("stack unknown", around, Role::Faint),
    }
}

fn source<'a>(row: &'a Callsite, around: &Around<'a>) -> Cell<'a> {
    let Some((file, line)) = own_frame(row).and_then(|frame| Some((frame.file.as_deref()?, frame.line))) else {
        return cells::absent(around);
    };
    let file = clean(base_name(file), around.glyphs);
    let text = match line {
        Some(line) => Cow::Owned(format!("{file}:{line}")),
        None => file,
    };
    cells::own(text, around, Role::Text)
}

fn peer<'a>(row: &'a Callsite, around: &Around<'a>) -> Cell<'a> {
    let Some(first) = row.peers.first() else { return cells::absent(around) };
    match around.names.get(first.peer.ip()) {
        Some(name) => cells::foreign(name, around, Role::Text),
        None => cells::address(first.peer, around, Role::Text),
    }
}

fn pids<'a>(row: &'a Callsite, around: &Around<'a>) -> Cell<'a> {
    match row.pids.as_slice() {
        [] => cells::absent(around),
        [pid] => cells::own(pid.to_string(), around, Role::Text),
        more => cells::own(format!("{}{}", around.glyphs.times(), more.len()), around, Role::Text),
    }
}
