//! The rows that are shown and the cursor among them.

use super::say::say;
use crate::app::App;
use crate::app::mode::Panel;
use crate::app::msg::NoticeKind;
use crate::layout::{areas, places};
use crate::rows::columns::Tabular;
use crate::rows::detail_data::DetailData;
use crate::rows::group::Grouped;
use crate::rows::row::Row;
use crate::rows::row_key::RowKey;
use crate::rows::search::Search;
use crate::rows::sort::{self, Turn};
use crate::rows::table::{AnyTable, Table, with_table};
use crate::rows::title::row_title;
use crate::rows::view_kind::View;
use leaktrace_model::{Severity, format_count, format_counted};

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seek {
    /// Down, right.
    Forwards,
    /// Up, left.
    Backwards,
}

/// Computes the rows again: after a snapshot, or with another view, filter or order.
pub(crate) fn rebuild(app: &mut App) {
    let Some(data) = app.data.clone() else { return };
    app.grouped = Grouped::of(app.view, app.list().grouping, &data.snapshot, &data.index);
    let Some(table) = app.table() else { return };
    let rows = with_table!(table, table => {
        let mut rows = sort::filter_rows(&table, &app.filter);
        order(app, &table, &mut rows);
        rows
    });
    app.rows = rows;
    find_cursor(app);
}

fn order<'a, T: Tabular>(app: &'a App, table: &Table<'a, T>, rows: &mut Vec<u32>) {
    let list = app.list();
    match list.sort {
        Some(column) => sort::sort(table, rows, column, list.turn, |at| app.around(table, at, 0)),
        // Grouped rows come in the order of their first members, so that worst first needs a sort by their sums.
        None if table.extras.is_some() => sort::sort(table, rows, 0, list.turn, |at| app.around(table, at, 0)),
        None if list.turn == Turn::Round => rows.reverse(),
        None => {}
    }
}

/// Finds the row that the cursor was on and keeps it at its height on the screen.
fn find_cursor(app: &mut App) {
    app.detail = None;
    let Some(key) = app.list().selected.clone() else {
        let list = app.list_mut();
        (list.position, list.offset) = (0, 0);
        return;
    };
    let Some(table) = app.table() else { return };
    let found = with_table!(table, table => {
        app.rows.iter().position(|at| table.items.get(*at as usize).is_some_and(|row| row.is(&key, table.grouping)))
    });
    match found {
        Some(position) => {
            let list = app.list_mut();
            let height = list.position.saturating_sub(list.offset);
            (list.position, list.offset) = (position, position.saturating_sub(height));
        }
        None => go(app, app.list().position),
    }
}

/// The identity of a row that is shown.
fn key_at(app: &App, position: usize) -> Option<RowKey> {
    let at = *app.rows.get(position)? as usize;
    with_table!(app.table()?, table => table.items.get(at).map(|row| row.key(table.grouping)))
}

/// Puts the cursor on the row at `position`, or on the last one.
pub(crate) fn go(app: &mut App, position: usize) {
    let position = position.min(app.rows.len().saturating_sub(1));
    let key = key_at(app, position);
    if app.list().position != position {
        app.detail_scroll = 0;
    }
    let list = app.list_mut();
    list.position = position;
    if key.is_some() {
        list.selected = key;
    }
}

/// Puts the cursor on the top row and keeps it at the top.
pub(crate) fn follow_top(app: &mut App) {
    let list = app.list_mut();
    (list.selected, list.position, list.offset) = (None, 0, 0);
    app.detail_scroll = 0;
}

/// Keeps the cursor on the screen, and the detail on the cursor.
pub(crate) fn settle(app: &mut App) {
    let (height, rows) = (usize::from(areas(app).body.height), app.rows.len());
    let list = app.list_mut();
    list.position = list.position.min(rows.saturating_sub(1));
    if height > 0 {
        let lowest = (list.position + 1).saturating_sub(height);
        list.offset = list.offset.clamp(lowest, list.position.max(lowest)).min(rows.saturating_sub(height));
    }
    if rows == 0 {
        app.panel = Panel::Closed;
    }
    if app.panel == Panel::Closed {
        app.detail = None;
        return;
    }
    let key = key_at(app, app.list().position);
    if app.detail.as_ref().is_none_or(|detail| detail.key != key) {
        app.detail = key.and_then(|key| look_closely(app, key));
    }
}

fn look_closely(app: &App, key: RowKey) -> Option<DetailData> {
    let at = app.selected_row()?;
    let counts = with_table!(app.table()?, table => table.counts(at));
    Some(DetailData::of(key, &counts, app.data.as_ref()?, app.options.glyphs))
}

/// How many sockets the row the cursor is on has open.
pub(crate) fn open_sockets(app: &App) -> Option<u64> {
    let at = app.selected_row()?;
    Some(match app.table()? {
        AnyTable::Callsites(table) => table.items.get(at)?.sums.open,
        AnyTable::Processes(table) => table.items.get(at)?.open,
        AnyTable::Peers(table) => table.items.get(at)?.sums.open,
        AnyTable::Sockets(_) => 1,
    })
}

/// Shows another view.
pub(crate) fn show(app: &mut App, view: View) {
    if view == app.view && app.filter.scope.is_none() {
        return;
    }
    if app.filter.scope.take().is_some() {
        app.scope_from = None;
        follow_top(app);
    }
    app.view = view;
    app.detail_scroll = 0;
    rebuild(app);
}

/// Shows the sockets of the row the cursor is on.
pub(crate) fn enter_sockets(app: &mut App) {
    let (from, position) = (app.view, app.list().position);
    if from == View::Sockets {
        say(app, NoticeKind::Done, "These are sockets already; s shows those of a call site, a process or a peer");
        return;
    }
    let Some(key) = key_at(app, position) else { return };
    let (title, open) = (row_title(app, position), open_sockets(app).unwrap_or(0));
    app.panel = Panel::Closed;
    app.list_mut().selected = Some(key.clone());
    app.view = View::Sockets;
    app.filter.scope = Some(key);
    app.scope_from = Some((title, from));
    follow_top(app);
    rebuild(app);
    let listed = app.rows.len() as u64;
    if open > listed {
        let of = format_counted(open, "open socket");
        say(app, NoticeKind::Done, format!("{} of {of} are flagged and listed one by one", format_count(listed)));
    }
}

/// Goes back from the sockets of a row to the row.
pub(crate) fn leave_sockets(app: &mut App) {
    if let Some((_, from)) = app.scope_from.take() {
        app.filter.scope = None;
        follow_top(app);
        app.view = from;
        rebuild(app);
    }
}

/// Puts the cursor on the next row that leaks or is suspect, or on any flagged one if there is none. Wraps around.
pub(crate) fn jump(app: &mut App, seek: Seek) {
    let Some(table) = app.table() else { return };
    let (count, from) = (app.rows.len(), app.list().position);
    let worst =
        |position: usize| with_table!(table, table => app.rows.get(position).and_then(|at| table.worst(*at as usize)));
    let step = |n: usize| match seek {
        Seek::Forwards => (from + n) % count,
        Seek::Backwards => (from + count - n) % count,
    };
    let find = |least: Severity| (1..=count).map(step).find(|position| worst(*position) >= Some(least));
    match find(Severity::Suspect).or_else(|| find(Severity::Info)) {
        Some(position) => go(app, position),
        None => say(app, NoticeKind::Done, "No row here is flagged"),
    }
}

/// Sorts by the column beside the one that sorts; beyond the first and the last column by the order of the snapshot.
pub(crate) fn sort_beside(app: &mut App, seek: Seek) {
    let shown: Vec<usize> = places(app, areas(app).body.width).iter().map(|place| place.column).collect();
    let now = app.list().sort.and_then(|column| shown.iter().position(|at| *at == column));
    let next = match (now, seek) {
        (None, Seek::Forwards) => Some(0),
        (None, Seek::Backwards) => shown.len().checked_sub(1),
        (Some(at), Seek::Forwards) => Some(at + 1),
        (Some(at), Seek::Backwards) => at.checked_sub(1),
    };
    sort_by(app, next.and_then(|at| shown.get(at)).copied());
}

/// Sorts by a column, or in the order of the snapshot. The same column again reverses the order.
pub(crate) fn sort_by(app: &mut App, column: Option<usize>) {
    let list = app.list_mut();
    list.turn = if list.sort == column && column.is_some() { list.turn.other() } else { Turn::Usual };
    list.sort = column;
    rebuild(app);
}

/// Reverses the order.
pub(crate) fn invert(app: &mut App) {
    let list = app.list_mut();
    list.turn = list.turn.other();
    rebuild(app);
}

/// Groups the rows in the next way that the view has.
pub(crate) fn group(app: &mut App) {
    let ways = app.view.groupings();
    if ways.len() < 2 {
        say(app, NoticeKind::Done, "Sockets are not grouped; the other views group them");
        return;
    }
    let now = ways.iter().position(|way| *way == app.list().grouping).unwrap_or(0);
    app.list_mut().grouping = ways.get((now + 1) % ways.len()).copied().unwrap_or_default();
    app.panel = Panel::Closed;
    follow_top(app);
    rebuild(app);
}

/// Applies what is typed into the filter.
pub(crate) fn filter_changed(app: &mut App) {
    let search = Search::parse(app.filter_text.text());
    let narrows = search.narrows(&app.filter.search);
    app.filter.search = search;
    if !narrows {
        rebuild(app);
        return;
    }
    let mut rows = std::mem::take(&mut app.rows);
    if let Some(table) = app.table() {
        with_table!(table, table => sort::filter_again(&table, &mut rows, &app.filter));
    }
    app.rows = rows;
    find_cursor(app);
}
