//! Closing sockets: the sockets are named first, by cookie and namespace, and do not change while the user decides.

use super::list::open_sockets;
use super::say::say;
use crate::app::App;
use crate::app::mode::{Confirm, Mode, Target};
use crate::app::msg::{Effect, NoticeKind};
use crate::rows::detail_data::all_sockets_of;
use crate::rows::row::Row;
use crate::rows::row_key::RowKey;
use crate::rows::table::with_table;
use crate::rows::title::row_title;
use leaktrace_model::{Socket, TcpState, format_counted};

/// Opens the confirmation for the row the cursor is on.
pub(crate) fn ask(app: &mut App) {
    match prepare(app) {
        Ok(confirm) => app.mode = Mode::Confirm(confirm),
        Err(text) => say(app, NoticeKind::Failed, text),
    }
}

fn prepare(app: &App) -> Result<Confirm, &'static str> {
    if app.replay.is_some() {
        return Err("A recording cannot be changed; close sockets on the live host");
    }
    let data = app.data.as_ref().ok_or("Nothing has been sampled yet, so there is nothing to close")?;
    let (key, open) = selected(app).ok_or("No row is selected, so there is nothing to close")?;
    let targets: Vec<Target> = all_sockets_of(&key, data).into_iter().filter_map(target).collect();
    if targets.is_empty() {
        return Err("None of its sockets is flagged and listed, so none can be closed from here; use leaktrace kill");
    }
    Ok(Confirm {
        unlisted: open.saturating_sub(targets.len() as u64),
        whose: row_title(app, app.list().position),
        sockets: targets,
        scroll: 0,
    })
}

/// The row the cursor is on and how many sockets it has open.
fn selected(app: &App) -> Option<(RowKey, u64)> {
    let (at, table) = (app.selected_row()?, app.table()?);
    Some((with_table!(table, table => Row::key(table.items.get(at)?, table.grouping)), open_sockets(app)?))
}

/// A socket that can be closed: it has a cookie and does not listen.
fn target(socket: &Socket) -> Option<Target> {
    let state = socket.observed.state;
    let id = socket.observed.id().filter(|_| state != TcpState::Listen)?;
    Some(Target { id, state, holder: socket.holders.first().cloned() })
}

/// Closes what was named.
pub(crate) fn confirmed(app: &mut App) -> Option<Effect> {
    let Mode::Confirm(confirm) = std::mem::take(&mut app.mode) else { return None };
    let sockets: Vec<_> = confirm.sockets.into_iter().map(|target| target.id).collect();
    let count = format_counted(sockets.len() as u64, "socket");
    say(app, NoticeKind::Done, format!("Closing {count}"));
    Some(Effect::KillSockets { sockets })
}
