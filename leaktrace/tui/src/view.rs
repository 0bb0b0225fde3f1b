//! Draws the state of the live view, without changing it. One widget in each file.

mod confirm;
mod curve;
pub(crate) mod detail;
mod dialog;
mod empty;
mod export;
pub(crate) mod footer;
mod header;
mod health;
mod help;
mod pen;
mod progress;
pub(crate) mod replay;
mod severities;
mod sort;
mod table;
pub(crate) mod tabs;
mod thresholds;

use crate::app::App;
use crate::app::mode::{Mode, Page};
use crate::layout::areas;
use ratatui::Frame;

/// Draws one frame. The frame should have the size that the app knows; the rest stays empty.
pub fn view(app: &App, frame: &mut Frame<'_>) {
    let areas = areas(app);
    let buffer = frame.buffer_mut();
    header::draw(app, areas.header, buffer);
    progress::draw(app, areas.progress, buffer);
    tabs::draw(app, areas.tabs, buffer);
    table::draw(app, &areas, buffer);
    detail::draw(app, areas.detail, buffer);
    replay::draw(app, areas.replay, buffer);
    match &app.mode {
        Mode::Browse | Mode::Filter => {}
        Mode::Page { page: Page::Help, scroll } => help::draw(app, *scroll, buffer),
        Mode::Page { page: Page::Health, scroll } => health::draw(app, *scroll, buffer),
        Mode::Sort { entry } => sort::draw(app, *entry, buffer),
        Mode::Thresholds { entry } => thresholds::draw(app, *entry, buffer),
        Mode::Export(dialog) => {
            if let Some(cursor) = export::draw(app, dialog, buffer) {
                frame.set_cursor_position(cursor);
            }
        }
        Mode::Confirm(dialog) => confirm::draw(app, dialog, buffer),
    }
    if let Some(cursor) = footer::draw(app, areas.footer, frame.buffer_mut()) {
        frame.set_cursor_position(cursor);
    }
}
