//! The dialog of the order: every column, also those that do not fit.

use super::dialog;
use super::pen::Pen;
use crate::app::App;
use crate::rows::columns::Tabular;
use crate::rows::sort::Turn;
use crate::rows::table::{Table, with_table};
use crate::signs::Signs as _;
use crate::theme::Role;
use ratatui::buffer::Buffer;

/// Draws it.
pub(crate) fn draw(app: &App, entry: usize, buffer: &mut Buffer) {
    let Some(table) = app.table() else { return };
    let columns = with_table!(table, table => names(&table));
    let glyphs = app.options.glyphs;
    let area = dialog::open(app, "Order by", 60, columns.len() as u16 + 1, buffer);
    let room = usize::from(area.height).max(1);
    let top = (entry + 1).saturating_sub(room);
    let entries = [("worst first", "the order in which things should be looked at", true)].into_iter().chain(columns);
    for (row, (at, (name, about, falls))) in (0u16..).zip(entries.enumerate().skip(top).take(room)) {
        let mut pen = Pen::new(app, buffer, area, row);
        let role = if at == entry { Role::Accent } else { Role::Text };
        pen.put(if at == entry { glyphs.pointer() } else { " " }, Role::Accent).skip(1);
        let sorts = app.list().sort == at.checked_sub(1);
        let down = falls == (app.list().turn == Turn::Usual);
        let arrow = if down { glyphs.descending() } else { glyphs.ascending() };
        pen.put(if sorts { arrow } else { " " }, Role::Accent).skip(1);
        let name = if name.is_empty() { "SEVERITY" } else { name };
        pen.put(&format!("{name:<13}"), role).put(about, Role::Faint);
    }
}

/// Name, meaning, and whether the largest comes first.
fn names<T: Tabular>(_: &Table<'_, T>) -> Vec<(&'static str, &'static str, bool)> {
    T::columns().iter().map(|column| (column.name, column.about, column.falls())).collect()
}
