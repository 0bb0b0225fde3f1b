//! The columns of peers and listeners.

use super::cells::{self, verdict_columns};
use super::counted;
use super::{Address, Column, Sort, Tabular, When, left};
use crate::theme::Role;
use leaktrace_model::Group;
use std::sync::LazyLock;

impl Tabular for Group {
    fn columns() -> &'static [Column<Self>] {
        static COLUMNS: LazyLock<Vec<Column<Group>>> =
            LazyLock::new(|| before().into_iter().chain(verdict_columns()).chain(after()).collect());
        &COLUMNS
    }
}

/// The columns to the left of those of verdicts.
fn before() -> Vec<Column<Group>> {
    vec![
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
    ]
}

/// The columns to the right of those of verdicts.
fn after() -> Vec<Column<Group>> {
    vec![counted::unread(), counted::memory("kernel memory", 6)]
}

fn by_address(row: &Group) -> Option<Address> {
    Some(Address::of_group(row.key))
}
