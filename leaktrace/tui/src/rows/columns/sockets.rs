//! The columns of the sockets.

use super::cells;
use super::counted;
use super::fields;
use super::processes::short_container;
use super::{Address, Around, Cell, Column, Sort, Tabular, When, left, right};
use crate::frames::own_frame_name;
use crate::text::clean;
use crate::theme::Role;
use leaktrace_model::{Oldest, Socket};
use std::borrow::Cow;
use std::sync::LazyLock;

impl Tabular for Socket {
    fn columns() -> &'static [Column<Self>] {
        static COLUMNS: LazyLock<Vec<Column<Socket>>> = LazyLock::new(|| {
            let mut columns = Vec::from(made());
            fields::add(&mut columns);
            columns
        });
        &COLUMNS
    }
}

/// The columns that show more than one field, or a field in a way of its own. Those of the other fields are added between them.
fn made() -> [Column<Socket>; 10] {
    [
        counted::how_bad(),
        left("PROCESS", "who holds it, else who opened it", [10, 18, 22], 0)
            .shows(process, Sort::Text(|row| holder(row).map_or(Cow::Borrowed(""), |who| who.0))),
        right("FD", "its descriptor in that process", [5, 5, 5], 6)
            .shows(descriptor, Sort::Number(|row, _| row.holders.first().map(|holder| f64::from(holder.fd)))),
        left("NAME", "name of the peer", [12, 24, 40], 2).when(When::Named).shows(
            |row, around| cells::peer_name(row.observed.remote.ip(), around),
            Sort::Address(|row| Some(Address::of(row.observed.remote))),
        ),
        right("AGE", "how long it has been open", [7, 7, 7], 0)
            .shows(|row, around| cells::age(Some(age(row)), around), Sort::Number(|row, _| Some(row.observed.age_s()))),
        left("VERDICTS", "what holds, worst first", [14, 24, 64], 0)
            .shows(|_, around| cells::verdict_names(around), Sort::Number(|_, around| cells::badness(around))),
        left("CALL SITE", "the function that opened it", [14, 26, 40], 4).shows(site, Sort::Text(opener)),
        left("DIR", "connect or accept", [7, 7, 7], 8).shows(|_, around| cells::opened(around), Sort::Direction),
        right("COOKIE", "identity, as ss -e prints it", [9, 9, 9], 8)
            .shows(cookie, Sort::Number(|row, _| row.observed.cookie.map(|cookie| cookie.get() as f64))),
        left("CONTAINER", "container of who holds it", [12, 12, 16], 9).shows(
            |row, around| {
                row.container
                    .as_deref()
                    .map_or_else(|| cells::absent(around), |id| cells::foreign(short_container(id), around, Role::Text))
            },
            Sort::Text(|row| Cow::from(row.container.as_deref().unwrap_or_default())),
        ),
    ]
}

fn age(row: &Socket) -> Oldest {
    Oldest { age_ns: row.observed.age_ns, exact: row.observed.age_exact }
}

/// Name of the thread that opened it.
fn opener(row: &Socket) -> Cow<'_, str> {
    row.opener.as_ref().map_or(Cow::Borrowed(""), |opener| opener.comm.text())
}

/// Name and id of who holds it, else of who opened it.
fn holder(row: &Socket) -> Option<(Cow<'_, str>, u32)> {
    match row.holders.first() {
        Some(holder) => Some((Cow::from(&holder.comm), holder.pid)),
        None => row.opener.as_ref().map(|opener| (opener.comm.text(), opener.pid)),
    }
}

fn process<'a>(row: &'a Socket, around: &Around<'a>) -> Cell<'a> {
    let Some((comm, pid)) = holder(row) else { return cells::absent(around) };
    let comm = clean(&comm, around.glyphs);
    let text = if around.width >= 14 { format!("{comm}[{pid}]") } else { comm.into_owned() };
    cells::own(text, around, Role::Strong)
}

fn descriptor<'a>(row: &'a Socket, around: &Around<'a>) -> Cell<'a> {
    match row.holders.first() {
        Some(holder) => cells::own(holder.fd.to_string(), around, Role::Text),
        None => cells::absent(around),
    }
}

fn site<'a>(row: &'a Socket, around: &Around<'a>) -> Cell<'a> {
    match row.callsite.and_then(|id| around.lens.callsite(id)).and_then(own_frame_name) {
        Some(name) => cells::own(clean(&name, around.glyphs).into_owned(), around, Role::Text),
        None => cells::absent(around),
    }
}

fn cookie<'a>(row: &'a Socket, around: &Around<'a>) -> Cell<'a> {
    match row.observed.cookie {
        Some(cookie) => cells::own(format!("{cookie:x}"), around, Role::Faint),
        None => cells::absent(around),
    }
}
