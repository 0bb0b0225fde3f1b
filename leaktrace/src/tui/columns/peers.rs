//! The columns of peers and listeners.

use super::cells::{self, verdict_column};
use super::{Around, Cell, Column, Sort, Tabular, When, left, right};
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
    left("", "how bad", [1, 1, 1], 0)
        .shows(|_, around| cells::sign(around), Sort::Number(|_, around| cells::badness(around))),
    left("PEER", "address and port, or address", [16, 21, 47], 0)
        .shows(|row, around| cells::foreign(&row.name, around, Role::Strong), Sort::Address(|row| &row.name)),
    left("NAME", "its name", [12, 24, 48], 1).when(When::Named).shows(name, Sort::Address(|row| &row.name)),
    right("OPEN", "sockets open now", [5, 5, 5], 0)
        .shows(|row, around| cells::count(row.open, around), Sort::Number(|row, _| Some(row.open as f64))),
    right("FLAG", "open sockets with a verdict", [5, 5, 5], 0)
        .shows(|row, around| cells::flagged(row.flagged, around), Sort::Number(|row, _| Some(row.flagged as f64))),
    right("+/MIN", "change of open sockets a minute; marked where it is judged to grow", [6, 6, 6], 2).shows(
        |row, around| cells::growth(row.growth_per_min, row.growing, around),
        Sort::Number(|row, _| row.growth_per_min),
    ),
    left("TREND", "open sockets over the whole run", [8, 10, 16], 3).shows(
        |row, around| {
            cells::trend(around.history.row(Whose::group(&row.name)).filter(|_| around.extra.is_none()), around)
        },
        Sort::Number(|row, _| row.growth_per_min),
    ),
    right("OLDEST", "age of the oldest", [7, 7, 7], 1)
        .shows(|row, around| cells::span(row.oldest_s, around), Sort::Number(|row, _| row.oldest_s)),
    left("VERDICTS", "all verdicts with their counts", [16, 30, 64], 1)
        .when(When::Otherwise)
        .shows(|_, around| cells::verdicts(around), Sort::Number(|_, around| cells::badness(around))),
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
    right("RXQ", "payload that waits unread", [5, 5, 5], 6).shows(
        |row, around| cells::size(row.rx_queue_bytes, around),
        Sort::Number(|row, _| Some(row.rx_queue_bytes as f64)),
    ),
    right("MEM", "kernel memory", [5, 5, 5], 6).shows(
        |row, around| cells::size(row.memory_bytes, around),
        Sort::Number(|row, _| Some(row.memory_bytes as f64)),
    ),
];

fn name<'a>(row: &'a Group, around: &Around<'a>) -> Cell<'a> {
    match around.names.get(host_of(&row.name)) {
        Some(name) => cells::foreign(name, around, Role::Text),
        None => cells::absent(around),
    }
}
