//! The columns of the sockets.

use super::cells;
use super::processes::short_container;
use super::tally;
use super::{Around, Cell, Column, Sort, Tabular, When, left, right};
use crate::{frames::culprit_name, row_key::host_of, text::clean, theme::Role};
use leaktrace_model::snapshot::Socket;

impl Tabular for Socket {
    fn columns() -> &'static [Column<Self>] {
        COLUMNS
    }
}

static COLUMNS: &[Column<Socket>] = &[
    tally::how_bad(),
    left("PROCESS", "who holds it, else who opened it", [10, 18, 22], 0)
        .shows(process, Sort::Text(|row| holder(row).map_or("", |who| who.0))),
    right("FD", "its descriptor in that process", [5, 5, 5], 6)
        .shows(descriptor, Sort::Number(|row, _| row.holders.first().map(|holder| f64::from(holder.fd)))),
    left("LOCAL", "local address and port", [15, 21, 47], 3)
        .shows(|row, around| cells::foreign(&row.local, around, Role::Text), Sort::Address(|row| &row.local)),
    left("REMOTE", "remote address and port", [15, 21, 47], 0)
        .shows(|row, around| cells::foreign(&row.remote, around, Role::Text), Sort::Address(|row| &row.remote)),
    left("NAME", "name of the peer", [12, 24, 40], 2).when(When::Named).shows(name, Sort::Address(|row| &row.remote)),
    left("STATE", "state of the connection", [11, 11, 12], 1)
        .shows(|row, around| cells::foreign(&row.state, around, Role::Text), Sort::Text(|row| &row.state)),
    right("AGE", "how long it has been open", [7, 7, 7], 0).shows(
        |row, around| cells::age(Some(row.age_s), row.age_exact, around),
        Sort::Number(|row, _| Some(row.age_s)),
    ),
    right("IDLE", "how long no payload has moved", [6, 6, 6], 4)
        .shows(|row, around| cells::span(row.idle_s, around), Sort::Number(|row, _| row.idle_s)),
    right("RXQ", "payload that waits unread", [5, 5, 5], 3).shows(
        |row, around| cells::size(row.rx_queue_bytes, around),
        Sort::Number(|row, _| Some(row.rx_queue_bytes as f64)),
    ),
    right("TXQ", "payload that waits to be acknowledged", [5, 5, 5], 5).shows(
        |row, around| cells::size(row.tx_queue_bytes, around),
        Sort::Number(|row, _| Some(row.tx_queue_bytes as f64)),
    ),
    left("VERDICTS", "what holds, worst first", [14, 24, 64], 0)
        .shows(|_, around| cells::verdict_names(around), Sort::Number(|_, around| cells::badness(around))),
    left("CALL SITE", "the function that opened it", [14, 26, 40], 4)
        .shows(site, Sort::Text(|row| row.comm.as_deref().unwrap_or_default())),
    right("RECV", "payload received", [5, 5, 5], 7).shows(
        |row, around| cells::size(row.bytes_received, around),
        Sort::Number(|row, _| Some(row.bytes_received as f64)),
    ),
    right("READ", "payload read by the application", [5, 5, 5], 7)
        .shows(|row, around| cells::size(row.bytes_read, around), Sort::Number(|row, _| Some(row.bytes_read as f64))),
    right("SENT", "payload sent", [5, 5, 5], 7)
        .shows(|row, around| cells::size(row.bytes_sent, around), Sort::Number(|row, _| Some(row.bytes_sent as f64))),
    right("MEM", "kernel memory", [5, 5, 5], 8).shows(
        |row, around| cells::size(row.memory_bytes, around),
        Sort::Number(|row, _| Some(row.memory_bytes as f64)),
    ),
    left("DIR", "connect or accept", [7, 7, 7], 8)
        .shows(|row, around| cells::foreign(&row.direction, around, Role::Faint), Sort::Text(|row| &row.direction)),
    right("COOKIE", "identity, as ss -e prints it", [9, 9, 9], 8)
        .shows(cookie, Sort::Number(|row, _| row.cookie.map(|cookie| cookie as f64))),
    left("CONTAINER", "container of who holds it", [12, 12, 16], 9).shows(
        |row, around| {
            row.container
                .as_deref()
                .map_or_else(|| cells::absent(around), |id| cells::foreign(short_container(id), around, Role::Text))
        },
        Sort::Text(|row| row.container.as_deref().unwrap_or_default()),
    ),
];

/// Name and id of who holds it, else of who opened it.
fn holder(row: &Socket) -> Option<(&str, Option<u32>)> {
    match row.holders.first() {
        Some(holder) => Some((&holder.comm, Some(holder.pid))),
        None => Some((row.comm.as_deref()?, row.pid)),
    }
}

fn process<'a>(row: &'a Socket, around: &Around<'a>) -> Cell<'a> {
    let Some((comm, pid)) = holder(row) else { return cells::absent(around) };
    let comm = clean(comm, around.charset);
    match pid {
        Some(pid) if around.width >= 14 => cells::own(format!("{comm}[{pid}]"), around, Role::Strong),
        _ => cells::own(comm, around, Role::Strong),
    }
}

fn descriptor<'a>(row: &'a Socket, around: &Around<'a>) -> Cell<'a> {
    match row.holders.first() {
        Some(holder) => cells::own(holder.fd.to_string(), around, Role::Text),
        None => cells::absent(around),
    }
}

fn name<'a>(row: &'a Socket, around: &Around<'a>) -> Cell<'a> {
    match around.names.get(host_of(&row.remote)) {
        Some(name) => cells::foreign(name, around, Role::Text),
        None => cells::absent(around),
    }
}

fn site<'a>(row: &'a Socket, around: &Around<'a>) -> Cell<'a> {
    let site = row
        .callsite
        .and_then(|id| around.lens.facts.callsite(id))
        .and_then(|at| around.lens.snapshot.callsites.get(at));
    match site.and_then(culprit_name) {
        Some(name) => cells::own(clean(&name, around.charset).into_owned(), around, Role::Text),
        None => cells::absent(around),
    }
}

fn cookie<'a>(row: &'a Socket, around: &Around<'a>) -> Cell<'a> {
    match row.cookie {
        Some(cookie) => cells::own(format!("{cookie:x}"), around, Role::Faint),
        None => cells::absent(around),
    }
}
