//! The columns of the sockets.

use super::cells;
use super::processes::short_container;
use super::{Align, Around, Cell, Column, Sort, Tabular, When};
use crate::snapshot::Socket;
use crate::tui::frames::culprit_name;
use crate::tui::row_key::host_of;
use crate::tui::text::clean;
use crate::tui::theme::Role;

impl Tabular for Socket {
    fn columns() -> &'static [Column<Self>] {
        COLUMNS
    }
}

static COLUMNS: &[Column<Socket>] = &[
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
        about: "who holds it, else who opened it",
        least: 10,
        good: 18,
        most: 22,
        rank: 0,
        align: Align::Left,
        when: When::Always,
        cell: process,
        sort: Sort::Text(|row| holder(row).map_or("", |who| who.0)),
    },
    Column {
        name: "FD",
        about: "its descriptor in that process",
        least: 5,
        good: 5,
        most: 5,
        rank: 6,
        align: Align::Right,
        when: When::Always,
        cell: descriptor,
        sort: Sort::Number(|row, _| row.holders.first().map(|holder| f64::from(holder.fd))),
    },
    Column {
        name: "LOCAL",
        about: "local address and port",
        least: 15,
        good: 21,
        most: 47,
        rank: 3,
        align: Align::Left,
        when: When::Always,
        cell: |row, around| cells::foreign(&row.local, around, Role::Text),
        sort: Sort::Address(|row| &row.local),
    },
    Column {
        name: "REMOTE",
        about: "remote address and port",
        least: 15,
        good: 21,
        most: 47,
        rank: 0,
        align: Align::Left,
        when: When::Always,
        cell: |row, around| cells::foreign(&row.remote, around, Role::Text),
        sort: Sort::Address(|row| &row.remote),
    },
    Column {
        name: "NAME",
        about: "name of the peer",
        least: 12,
        good: 24,
        most: 40,
        rank: 2,
        align: Align::Left,
        when: When::Named,
        cell: name,
        sort: Sort::Address(|row| &row.remote),
    },
    Column {
        name: "STATE",
        about: "state of the connection",
        least: 11,
        good: 11,
        most: 12,
        rank: 1,
        align: Align::Left,
        when: When::Always,
        cell: |row, around| cells::foreign(&row.state, around, Role::Text),
        sort: Sort::Text(|row| &row.state),
    },
    Column {
        name: "AGE",
        about: "how long it has been open",
        least: 7,
        good: 7,
        most: 7,
        rank: 0,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::age(Some(row.age_s), row.age_exact, around),
        sort: Sort::Number(|row, _| Some(row.age_s)),
    },
    Column {
        name: "IDLE",
        about: "how long no payload has moved",
        least: 6,
        good: 6,
        most: 6,
        rank: 4,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::span(row.idle_s, around),
        sort: Sort::Number(|row, _| row.idle_s),
    },
    Column {
        name: "RXQ",
        about: "payload that waits unread",
        least: 5,
        good: 5,
        most: 5,
        rank: 3,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::size(row.rx_queue_bytes, around),
        sort: Sort::Number(|row, _| Some(row.rx_queue_bytes as f64)),
    },
    Column {
        name: "TXQ",
        about: "payload that waits to be acknowledged",
        least: 5,
        good: 5,
        most: 5,
        rank: 5,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::size(row.tx_queue_bytes, around),
        sort: Sort::Number(|row, _| Some(row.tx_queue_bytes as f64)),
    },
    Column {
        name: "VERDICTS",
        about: "what holds, worst first",
        least: 14,
        good: 24,
        most: 64,
        rank: 0,
        align: Align::Left,
        when: When::Always,
        cell: |_, around| cells::verdict_names(around),
        sort: Sort::Number(|_, around| cells::badness(around)),
    },
    Column {
        name: "CALL SITE",
        about: "the function that opened it",
        least: 14,
        good: 26,
        most: 40,
        rank: 4,
        align: Align::Left,
        when: When::Always,
        cell: site,
        sort: Sort::Text(|row| row.comm.as_deref().unwrap_or_default()),
    },
    Column {
        name: "RECV",
        about: "payload received",
        least: 5,
        good: 5,
        most: 5,
        rank: 7,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::size(row.bytes_received, around),
        sort: Sort::Number(|row, _| Some(row.bytes_received as f64)),
    },
    Column {
        name: "READ",
        about: "payload read by the application",
        least: 5,
        good: 5,
        most: 5,
        rank: 7,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::size(row.bytes_read, around),
        sort: Sort::Number(|row, _| Some(row.bytes_read as f64)),
    },
    Column {
        name: "SENT",
        about: "payload sent",
        least: 5,
        good: 5,
        most: 5,
        rank: 7,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::size(row.bytes_sent, around),
        sort: Sort::Number(|row, _| Some(row.bytes_sent as f64)),
    },
    Column {
        name: "MEM",
        about: "kernel memory",
        least: 5,
        good: 5,
        most: 5,
        rank: 8,
        align: Align::Right,
        when: When::Always,
        cell: |row, around| cells::size(row.memory_bytes, around),
        sort: Sort::Number(|row, _| Some(row.memory_bytes as f64)),
    },
    Column {
        name: "DIR",
        about: "connect or accept",
        least: 7,
        good: 7,
        most: 7,
        rank: 8,
        align: Align::Left,
        when: When::Always,
        cell: |row, around| cells::foreign(&row.direction, around, Role::Faint),
        sort: Sort::Text(|row| &row.direction),
    },
    Column {
        name: "COOKIE",
        about: "identity, as ss -e prints it",
        least: 9,
        good: 9,
        most: 9,
        rank: 8,
        align: Align::Right,
        when: When::Always,
        cell: cookie,
        sort: Sort::Number(|row, _| row.cookie.map(|cookie| cookie as f64)),
    },
    Column {
        name: "CONTAINER",
        about: "container of who holds it",
        least: 12,
        good: 12,
        most: 16,
        rank: 9,
        align: Align::Left,
        when: When::Always,
        cell: |row, around| {
            row.container
                .as_deref()
                .map_or_else(|| cells::absent(around), |id| cells::foreign(short_container(id), around, Role::Text))
        },
        sort: Sort::Text(|row| row.container.as_deref().unwrap_or_default()),
    },
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
