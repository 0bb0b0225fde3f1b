//! The columns of peers and listeners.

use super::cells::{self, verdict_column};
use super::counted;
use super::{Address, Column, Sort, Tabular, When, left};
use crate::theme::Role;
use leaktrace_model::Group;

impl Tabular for Group {
    fn columns() -> &'static [Column<Self>] {
        COLUMNS
    }
}

static COLUMNS: &[Column<Group>] = &[
    counted::how_bad(),
    left("PEER", "address and port, or address", [16, 21, 47], 0)
        .shows(|row, around| cells::address(row.key, around, Role::Strong), Sort::Address(by_address)),
    left("NAME", "its name", [12, 24, 48], 1)
        .when(When::Named)
        .shows(|row, around| cells::peer_name(row.key.ip(), around), Sort::Address(by_address)),
    counted::open("sockets open now"),
    counted::flagged("open sockets with a verdict"),
    counted::growth(),
    counted::trend(Sort::Number(|row, _| row.trend.map(|trend| trend.per_min))),
    counted::oldest(),
    counted::verdicts(),
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
    counted::unread(),
    counted::memory("kernel memory", 6),
];

fn by_address(row: &Group) -> Option<Address> {
    Some(Address::of_group(row.key))
}
