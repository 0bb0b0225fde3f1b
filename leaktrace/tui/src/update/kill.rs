//! Closing sockets: what would be closed is named first, by cookie and namespace, and frozen while it is asked.

use super::list::open_sockets;
use super::say;
use crate::{
    app::App,
    glyphs::Charset,
    item::Item,
    mode::{Confirm, Mode},
    msg::{Effect, KillTarget, NoticeKind},
    row_key::RowKey,
    subject::all_sockets_of,
    table::with_table,
    text::clean,
    title::row_title,
};
use leaktrace_model::snapshot::Socket;
use leaktrace_output::units::format_counted;

/// Most sockets that are named one by one.
const NAMED: usize = 1000;

/// Opens the confirmation for the row the cursor is on.
pub fn ask(app: &mut App) {
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
    let charset = app.options.charset;
    let mut closable = all_sockets_of(&key, data);
    closable.retain(|socket| socket.cookie.is_some() && socket.state != "LISTEN");
    if closable.is_empty() {
        return Err("None of its sockets is flagged and listed, so none can be closed from here; use leaktrace kill");
    }
    let targets: Vec<KillTarget> = closable.iter().filter_map(|socket| target(socket, charset)).collect();
    Ok(Confirm {
        unlisted: open.saturating_sub(targets.len() as u64),
        whose: row_title(app, app.list().position),
        named: closable.iter().take(NAMED).map(|socket| describe(socket, charset)).collect(),
        sockets: targets,
        scroll: 0,
    })
}

/// The row the cursor is on and how many sockets it has open.
fn selected(app: &App) -> Option<(RowKey, u64)> {
    let (at, table) = (app.selected_row()?, app.table()?);
    Some((with_table!(table, table => table.items.get(at)?.key(table.grouping)), open_sockets(app)?))
}

fn ends(socket: &Socket, charset: Charset) -> String {
    format!("{} {} {}", clean(&socket.local, charset), charset.arrow(), clean(&socket.remote, charset))
}

fn target(socket: &Socket, charset: Charset) -> Option<KillTarget> {
    Some(KillTarget { cookie: socket.cookie?, netns: socket.netns, name: ends(socket, charset) })
}

/// Its identity and ends; who holds it, and in which network namespace.
fn describe(socket: &Socket, charset: Charset) -> [String; 2] {
    let cookie = socket.cookie.unwrap_or_default();
    let what = format!("{cookie:>6x}  {}  {}", ends(socket, charset), clean(&socket.state, charset));
    let holder = socket.holders.first().map(|h| format!("{}[{}] fd {}", clean(&h.comm, charset), h.pid, h.fd));
    let netns = socket.netns.map(|netns| format!("netns {netns}"));
    let place: Vec<String> = holder.into_iter().chain(netns).collect();
    [what, place.join("  ")]
}

/// Closes what was named.
pub fn confirmed(app: &mut App) -> Option<Effect> {
    let Mode::Confirm(confirm) = std::mem::take(&mut app.mode) else { return None };
    let count = format_counted(confirm.sockets.len() as u64, "socket");
    say(app, NoticeKind::Done, format!("Closing {count}"));
    Some(Effect::KillSockets { sockets: confirm.sockets })
}
