//! What a row is called where it stands alone: in the title of its detail, in a confirmation, above its sockets.

use super::app::App;
use super::columns::processes::short_container;
use super::frames::culprit_name;
use super::table::AnyTable;
use super::text::clean;
use super::view_kind::Grouping;
use leaktrace_model::snapshot::{Callsite, Process, Socket};

/// What the row at `position` is called; clean.
pub fn row_title(app: &App, position: usize) -> String {
    let Some((at, table)) = app.rows.get(position).map(|at| *at as usize).zip(app.table()) else {
        return String::new();
    };
    let title = match table {
        AnyTable::Callsites(table) => table.items.get(at).map(of_callsite),
        AnyTable::Processes(table) => table.items.get(at).map(|process| of_process(process, table.grouping)),
        AnyTable::Peers(table) => table.items.get(at).map(|group| group.name.clone()),
        AnyTable::Sockets(table) => table.items.get(at).map(|socket| of_socket(app, socket)),
    };
    clean(&title.unwrap_or_default(), app.options.charset).into_owned()
}

fn of_callsite(site: &Callsite) -> String {
    match culprit_name(site) {
        Some(function) => format!("{} {function}", site.comm),
        None => site.comm.clone(),
    }
}

fn of_process(process: &Process, grouping: Grouping) -> String {
    let named = |kind: &str, name: &Option<String>| match name {
        Some(name) => format!("{kind} {}", short_container(name)),
        None => format!("no {kind}"),
    };
    match grouping {
        Grouping::Container => named("container", &process.container),
        Grouping::Unit => named("unit", &process.unit),
        Grouping::Comm => process.comm.clone(),
        _ => format!("{}[{}]", process.comm, process.pid),
    }
}

fn of_socket(app: &App, socket: &Socket) -> String {
    format!("{} {} {}", socket.local, app.options.charset.arrow(), socket.remote)
}
