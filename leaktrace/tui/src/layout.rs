//! Where everything is on the screen. Used by `view` to draw, and by `update` to scroll and to locate clicks.

use crate::app::App;
use crate::app::mode::Panel;
use crate::rows::columns::{Fitting, Place, Tabular, fit};
use crate::rows::table::{Table, with_table};
use ratatui::layout::Rect;

/// Fewest rows of a screen that has table and detail together.
const ROOM_FOR_BOTH: u16 = 26;

/// The parts of the screen, top to bottom; a part that does not fit is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Areas {
    /// Host and sums.
    pub(crate) header: Rect,
    /// Progress of adopting sockets that were open before the tracer.
    pub(crate) progress: Rect,
    /// Tabs of the views, and the filters.
    pub(crate) tabs: Rect,
    /// Headings of the table.
    pub(crate) heading: Rect,
    /// Rows of the table, without the scrollbar.
    pub(crate) body: Rect,
    /// The scrollbar of the table.
    pub(crate) scrollbar: Rect,
    /// The detail of the row.
    pub(crate) detail: Rect,
    /// The position in a recording.
    pub(crate) replay: Rect,
    /// Keys, the filter, notices.
    pub(crate) footer: Rect,
}

/// Whether table and detail fit together.
pub(crate) fn fits_both(app: &App) -> bool {
    app.size.1 >= ROOM_FOR_BOTH
}

/// Whether there is a warning.
pub(crate) fn has_warning(app: &App) -> bool {
    app.data.as_ref().is_some_and(|data| {
        let health = &data.snapshot.health;
        !health.degraded.is_empty() || health.lost.any()
    })
}

fn header_height(app: &App) -> u16 {
    match app.size.1 {
        0..4 => 0,
        4..14 => 1,
        14..20 => 2,
        _ => 3 + u16::from(has_warning(app)),
    }
}

/// The parts of a screen of the size that the app knows.
pub(crate) fn areas(app: &App) -> Areas {
    let (width, height) = app.size;
    let mut y = 0;
    let mut bottom = height;
    let line = |y: u16, rows: u16| Rect { x: 0, y, width, height: rows };
    let mut areas = Areas::default();
    let mut from_top = |rows: u16, bottom: u16| {
        let rows = rows.min(bottom.saturating_sub(y));
        let rect = line(y, rows);
        y += rows;
        rect
    };
    areas.header = from_top(header_height(app), bottom);
    if app.adopting.is_some() && height >= 6 {
        areas.progress = from_top(1, bottom);
    }
    if height >= 5 {
        areas.tabs = from_top(1, bottom);
    }
    let mut from_bottom = |rows: u16| {
        let rows = rows.min(bottom.saturating_sub(areas.tabs.bottom().max(areas.header.bottom())));
        bottom -= rows;
        line(bottom, rows)
    };
    areas.footer = from_bottom(u16::from(height >= 3));
    if app.replay.is_some() && height >= 7 {
        areas.replay = from_bottom(1);
    }
    let middle = bottom.saturating_sub(y);
    match app.panel {
        Panel::Closed => {}
        Panel::Full => areas.detail = line(y, middle),
        Panel::Split => {
            let rows = (middle * 11 / 20).max(middle.saturating_sub(16)).min(middle.saturating_sub(7));
            areas.detail = line(bottom - rows, rows);
            bottom -= rows;
        }
    }
    if app.panel != Panel::Full {
        let heading = u16::from(bottom > y);
        areas.heading = line(y, heading);
        let rows = bottom.saturating_sub(y + heading);
        let bar = u16::from(app.rows.len() > usize::from(rows) && width > 10);
        areas.body = Rect { x: 0, y: y + heading, width: width - bar, height: rows };
        areas.scrollbar = Rect { x: width - bar, y: y + heading, width: bar, height: rows };
    }
    areas
}

/// The columns of the table in their places.
pub(crate) fn places(app: &App, width: u16) -> Vec<Place> {
    let Some(table) = app.table() else { return Vec::new() };
    with_table!(table, table => places_of(app, &table, width))
}

/// The same for this table.
pub(crate) fn places_of<T: Tabular>(app: &App, table: &Table<'_, T>, width: u16) -> Vec<Place> {
    fit::<T>(&Fitting {
        width,
        seen: table.lens.index.verdict_totals,
        naming: app.names.naming,
        sorting: app.list().sort,
    })
}
