//! The columns of the call sites.

use super::cells::{self, verdict_column};
use super::{Align, Around, Cell, Column, Sort, Tabular, When};
use crate::report::base_name;
use crate::snapshot::Callsite;
use crate::tui::frames::{culprit, culprit_name};
use crate::tui::history::Whose;
use crate::tui::names::Names;
use crate::tui::row_key::host_of;
use crate::tui::text::{clean, short_function};
use crate::tui::theme::Role;
use std::borrow::Cow;

impl Tabular for Callsite {
    fn columns() -> &'static [Column<Self>] {
        COLUMNS
    }
}

static COLUMNS: &[Column<Callsite>] = &[
    Column {
        name: "",
        about: "how bad",
        least: 1,
        good: 1,
        most: 1,
        rank: 0,
        align: Align::Left,
        when: When::Always,
        cell: |_, around| cells::sign(around),
        sort: Sort::Number(|_, around| cells::badness(around)),
    },
    Column {
        name: "PROCESS",
        about: "name of the process",
        least: 8,
        good: 14,
        most: 16,
        rank: 0,
        align: Align::Left,
        when: When::Always,
        cell: |row, around| cells::foreign(&row.comm, around, Role::Text),
        sort: Sort::Text(|row| &row.comm),
    },
    Column {
        name: "CALL SITE",
        about: "the function that opened the sockets",
        least: 14,
        good: 30,
        most: 48,
        rank: 0,
        align: Align::Left,
        when: When::Always,
        cell: site,
        sort: Sort::Text(function),
    },
    Column {
        name: "SOURCE",
        about: "source file and line of that function",
        least: 12,
        good: 20,
        most: 32,
        rank: 4,
        align: Align::Left,
        when: When::Always,
        cell: source,
        sort: Sort::Text(|row| culprit(row).and_then(|frame| frame.file.as_deref()).unwrap_or_default()),
    },
    Column {
        name: "DIR",
        about: "connect or accept",
        least: 7,
        good: 7,
        most: 7,
        rank: 7,
        align: Align::Left,
        when: When::Always,
        cell: |row, around| cells::foreign(&row.direction, around, Role::Faint),
        sort: Sort::Text(|row| &row.direction),
    },
    Column {
        name: "OPEN",
        about: "sockets open now",
        least: 5,
        good: 5,
        most: 5,
        rank: 0,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::count(row.open, around),
        sort: Sort::Number(|row, _| Some(row.open as f64)),
    },
    Column {
        name: "FLAG",
        about: "open sockets with a verdict",
        least: 5,
        good: 5,
        most: 5,
        rank: 0,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::flagged(row.flagged, around),
        sort: Sort::Number(|row, _| Some(row.flagged as f64)),
    },
    Column {
        name: "+/MIN",
        about: "change of open sockets a minute; marked where it is judged to grow",
        least: 6,
        good: 6,
        most: 6,
        rank: 2,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::growth(row.growth_per_min, row.growing, around),
        sort: Sort::Number(|row, _| row.growth_per_min),
    },
    Column {
        name: "TREND",
        about: "open sockets over the whole run",
        least: 8,
        good: 10,
        most: 16,
        rank: 3,
        align: Align::Left,
        when: When::Always,
        cell: |row, around| {
            cells::trend(around.history.row(Whose::Callsite(row.id)).filter(|_| around.extra.is_none()), around)
        },
        sort: Sort::Number(|row, _| row.growth_per_min),
    },
    Column {
        name: "OLDEST",
        about: "age of the oldest",
        least: 7,
        good: 7,
        most: 7,
        rank: 1,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::age(row.oldest_s, row.oldest_exact, around),
        sort: Sort::Number(|row, _| row.oldest_s),
    },
    Column {
        name: "VERDICTS",
        about: "all verdicts with their counts",
        least: 16,
        good: 30,
        most: 64,
        rank: 1,
        align: Align::Left,
        when: When::Otherwise,
        cell: |_, around| cells::verdicts(around),
        sort: Sort::Number(|_, around| cells::badness(around)),
    },
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
    Column {
        name: "RXQ",
        about: "payload that waits unread",
        least: 5,
        good: 5,
        most: 5,
        rank: 6,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::size(row.rx_queue_bytes, around),
        sort: Sort::Number(|row, _| Some(row.rx_queue_bytes as f64)),
    },
    Column {
        name: "MEM",
        about: "kernel memory",
        least: 5,
        good: 5,
        most: 5,
        rank: 6,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::size(row.memory_bytes, around),
        sort: Sort::Number(|row, _| Some(row.memory_bytes as f64)),
    },
    Column {
        name: "LIFE50",
        about: "median lifetime of the sockets closed in the window",
        least: 6,
        good: 6,
        most: 6,
        rank: 7,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::span(row.lifetime_s.as_ref().map(|life| life.p50), around),
        sort: Sort::Number(|row, _| row.lifetime_s.as_ref().map(|life| life.p50)),
    },
    Column {
        name: "OPENED",
        about: "opened in the window",
        least: 6,
        good: 6,
        most: 6,
        rank: 8,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::count(row.opened, around),
        sort: Sort::Number(|row, _| Some(row.opened as f64)),
    },
    Column {
        name: "CLOSED",
        about: "closed in the window",
        least: 6,
        good: 6,
        most: 6,
        rank: 8,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::count(row.closed, around),
        sort: Sort::Number(|row, _| Some(row.closed as f64)),
    },
    Column {
        name: "PEER",
        about: "the peer with the most sockets",
        least: 14,
        good: 21,
        most: 24,
        rank: 9,
        align: Align::Left,
        when: When::Always,
        cell: peer,
        sort: Sort::Address(|row| row.peers.first().map_or("", |peer| &peer.peer)),
    },
    Column {
        name: "PIDS",
        about: "processes that opened sockets here",
        least: 7,
        good: 7,
        most: 7,
        rank: 9,
        align: Align::Right,
        when: When::Always,
        cell: pids,
        sort: Sort::Number(|row, _| row.pids.first().map(|pid| f64::from(*pid))),
    },
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
