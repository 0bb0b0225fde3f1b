//! The columns of peers and listeners.

use super::cells::{self, verdict_column};
use super::tally;
use super::{Around, Cell, Column, Sort, Tabular, When, left, right};
use crate::{row_key::host_of, theme::Role};
use leaktrace_model::snapshot::Group;

impl Tabular for Group {
    fn columns() -> &'static [Column<Self>] {
        COLUMNS
    }
}

static COLUMNS: &[Column<Group>] = &[
    tally::how_bad(),
    left("PEER", "address and port, or address", [16, 21, 47], 0)
        .shows(|row, around| cells::foreign(&row.name, around, Role::Strong), Sort::Address(|row| &row.name)),
    left("NAME", "its name", [12, 24, 48], 1).when(When::Named).shows(name, Sort::Address(|row| &row.name)),
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
];

fn name<'a>(row: &'a Group, around: &Around<'a>) -> Cell<'a> {
    match around.names.get(host_of(&row.name)) {
        Some(name) => cells::foreign(name, around, Role::Text),
        None => cells::absent(around),
    }
}
