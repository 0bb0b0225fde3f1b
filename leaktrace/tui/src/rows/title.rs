//! The name of a row outside its table: in the title of its detail, in a confirmation, above its sockets.

use crate::app::App;
use crate::frames::own_frame_name;
use crate::rows::columns::processes::short_container;
use crate::rows::table::AnyTable;
use crate::rows::view_kind::Grouping;
use crate::signs::Signs as _;
use crate::text::clean;
use leaktrace_model::{Callsite, Process, Socket};

/// The name of the row at `position`. Clean.
pub(crate) fn row_title(app: &App, position: usize) -> String {
    let Some((at, table)) = app.rows.get(position).map(|at| *at as usize).zip(app.table()) else {
        return String::new();
    };
    let title = match table {
        AnyTable::Callsites(table) => table.items.get(at).map(of_callsite),
        AnyTable::Processes(table) => table.items.get(at).map(|process| of_process(process, table.grouping)),
        AnyTable::Peers(table) => table.items.get(at).map(|group| group.key.to_string()),
        AnyTable::Sockets(table) => table.items.get(at).map(|socket| of_socket(app, socket)),
    };
    clean(&title.unwrap_or_default(), app.options.glyphs).into_owned()
}

fn of_callsite(site: &Callsite) -> String {
    match own_frame_name(site) {
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
    format!("{} {} {}", socket.observed.local, app.options.glyphs.arrow(), socket.observed.remote)
}
