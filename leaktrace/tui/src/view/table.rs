//! The table of the view that is shown: headings, the rows on the screen, a scrollbar.

use super::empty;
use super::pen::Pen;
use crate::app::App;
use crate::app::mode::Panel;
use crate::layout::{Areas, places_of};
use crate::rows::columns::{Align, Column, Place, Tabular};
use crate::rows::sort::Turn;
use crate::rows::table::{Table, with_table};
use crate::signs::Signs as _;
use crate::text::{fit, width};
use crate::theme::Role;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

/// Draws it. Only rows on the screen are formatted.
pub(crate) fn draw(app: &App, areas: &Areas, buffer: &mut Buffer) {
    if app.panel == Panel::Full {
        return;
    }
    match app.table().filter(|_| !app.rows.is_empty()) {
        Some(table) => with_table!(table, table => draw_table(app, &table, areas, buffer)),
        None => empty::draw(app, areas.heading.union(areas.body), buffer),
    }
}

fn draw_table<T: Tabular>(app: &App, table: &Table<'_, T>, areas: &Areas, buffer: &mut Buffer) {
    let places = places_of(app, table, areas.body.width);
    heading(app, T::columns(), &places, areas.heading, buffer);
    let first = app.list().offset;
    for row in 0..areas.body.height {
        let position = first + usize::from(row);
        let Some(at) = app.rows.get(position).map(|at| *at as usize) else { break };
        let Some(item) = table.items.get(at) else { continue };
        let line = Rect { y: areas.body.y + row, height: 1, ..areas.body };
        draw_row(app, table, item, at, &places, line, buffer);
        if position == app.list().position {
            // The sign of the severity keeps its colour in the first cell.
            let colour = app.options.colour;
            let sign = Rect { width: line.width.min(1), ..line }.intersection(buffer.area);
            let rest = Rect { x: line.x + 1, width: line.width.saturating_sub(1), ..line }.intersection(buffer.area);
            buffer.set_style(sign, colour.style(Role::Selected));
            buffer.set_style(rest, colour.bar());
        }
    }
    scrollbar(app, areas.scrollbar, buffer);
}

fn draw_row<T: Tabular>(
    app: &App,
    table: &Table<'_, T>,
    item: &T,
    at: usize,
    places: &[Place],
    line: Rect,
    buffer: &mut Buffer,
) {
    let mut around = app.around(table, at, 0);
    for place in places {
        let Some(column) = T::columns().get(place.column) else { continue };
        around.width = usize::from(place.width);
        let cell = column.cell(item, &around);
        let area = Rect { x: line.x + place.x, width: place.width, ..line };
        put(app, &cell.text, column.align, area, cell.style, buffer);
    }
}

fn put(app: &App, text: &str, align: Align, area: Rect, style: ratatui::style::Style, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    if area.is_empty() || text.is_empty() {
        return;
    }
    let cells = usize::from(area.width);
    let text = fit(text, cells, app.options.glyphs);
    let x = match align {
        Align::Left => area.x,
        Align::Right => area.x + cells.saturating_sub(width(&text)) as u16,
    };
    buffer.set_stringn(x, area.y, &text, cells, style);
}

fn heading<T>(app: &App, columns: &[Column<T>], places: &[Place], area: Rect, buffer: &mut Buffer) {
    let colour = app.options.colour;
    Pen::new(app, buffer, area, 0).fill(colour.style(Role::Heading));
    let list = app.list();
    for place in places {
        let Some(column) = columns.get(place.column) else { continue };
        let cell = Rect { x: area.x + place.x, width: place.width, ..area };
        let sorts = list.sort.unwrap_or(0) == place.column;
        if !sorts {
            put(app, column.name, column.align, cell, colour.style(Role::Heading).add_modifier(Modifier::BOLD), buffer);
            continue;
        }
        let style = colour.style(Role::Accent).add_modifier(Modifier::UNDERLINED);
        let arrow = arrow(app, column);
        // One cell between columns belongs to the arrow; the last column has none to give.
        let with_gap = Rect { width: cell.width + 1, ..cell };
        let cell = if with_gap.right() <= area.right() { with_gap } else { cell };
        let name = fit(column.name, usize::from(cell.width).saturating_sub(1), app.options.glyphs);
        put(app, &format!("{name}{arrow}"), column.align, cell, style, buffer);
    }
}

/// Which way the column that sorts runs, from top to bottom.
fn arrow<T>(app: &App, column: &Column<T>) -> &'static str {
    let glyphs = app.options.glyphs;
    let falls = column.falls() == (app.list().turn == Turn::Usual);
    if falls { glyphs.descending() } else { glyphs.ascending() }
}

fn scrollbar(app: &App, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let (rows, height) = (app.rows.len().max(1), usize::from(area.height));
    let thumb = (height * height / rows).clamp(1, height);
    let room = rows.saturating_sub(height).max(1);
    let start = (app.list().offset.min(room) * (height - thumb) + room / 2) / room;
    for row in 0..area.height {
        let on = (start..start + thumb).contains(&usize::from(row));
        let glyphs = app.options.glyphs;
        let (sign, role) = if on { (glyphs.thumb(), Role::Accent) } else { (glyphs.track(), Role::Faint) };
        Pen::new(app, buffer, area, row).put(sign, role);
    }
}
