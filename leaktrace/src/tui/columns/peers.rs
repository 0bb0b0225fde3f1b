//! The columns of peers and listeners.

use super::cells::{self, verdict_column};
use super::{Align, Around, Cell, Column, Sort, Tabular, When};
use crate::snapshot::Group;
use crate::tui::history::Whose;
use crate::tui::row_key::host_of;
use crate::tui::theme::Role;

impl Tabular for Group {
    fn columns() -> &'static [Column<Self>] {
        COLUMNS
    }
}

static COLUMNS: &[Column<Group>] = &[
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
        name: "PEER",
        about: "address and port, or address",
        least: 16,
        good: 21,
        most: 47,
        rank: 0,
        align: Align::Left,
        when: When::Always,
        cell: |row, around| cells::foreign(&row.name, around, Role::Strong),
        sort: Sort::Address(|row| &row.name),
    },
    Column {
        name: "NAME",
        about: "its name",
        least: 12,
        good: 24,
        most: 48,
        rank: 1,
        align: Align::Left,
        when: When::Named,
        cell: name,
        sort: Sort::Address(|row| &row.name),
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
            cells::trend(around.history.row(Whose::group(&row.name)).filter(|_| around.extra.is_none()), around)
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
        cell: |row, around| cells::span(row.oldest_s, around),
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
];

fn name<'a>(row: &'a Group, around: &Around<'a>) -> Cell<'a> {
    match around.names.get(host_of(&row.name)) {
        Some(name) => cells::foreign(name, around, Role::Text),
        None => cells::absent(around),
    }
}
