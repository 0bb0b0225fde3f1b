//! The detail of the row the cursor is on: in one column, or in two where there is room.

mod about;
mod curves;
mod lifetimes;
mod lines;
mod lists;
mod stack;
mod verdicts;

use super::pen::Pen;
use crate::app::App;
use crate::app::mode::Panel;
use crate::frames::Folding;
use crate::rows::table::AnyTable;
use crate::rows::title::row_title;
use crate::signs::Signs as _;
use crate::theme::Role;
use lines::Lines;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// From this many cells on there are two columns.
const TWO_COLUMNS: u16 = 110;

/// Draws it, while it is open.
pub(crate) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    if app.panel == Panel::Closed || area.is_empty() {
        return;
    }
    let inside = Rect { y: area.y + 1, height: area.height - 1, ..area };
    if inside.width < TWO_COLUMNS {
        let cells = usize::from(inside.width.saturating_sub(2));
        let mut all = main_column(app, cells);
        lines::join(&mut all, side_column(app, cells));
        lines::join(&mut all, lists::sockets(app, cells));
        let only = Rect { x: inside.x + 1, width: inside.width.saturating_sub(1), ..inside };
        let below = column(app, &all, only, buffer);
        title(app, below, area, buffer);
        return;
    }
    let side = (inside.width * 2 / 5).min(64);
    let left = Rect { x: inside.x + 1, width: inside.width - side - 2, ..inside };
    let right = Rect { x: left.right() + 1, width: side, ..inside };
    let mut all = main_column(app, usize::from(left.width));
    lines::join(&mut all, lists::sockets(app, usize::from(left.width)));
    let below = column(app, &all, left, buffer);
    let below = below.max(column(app, &side_column(app, usize::from(side)), right, buffer));
    title(app, below, area, buffer);
}

fn title(app: &App, below: usize, area: Rect, buffer: &mut Buffer) {
    let glyphs = app.options.glyphs;
    let mut pen = Pen::new(app, buffer, area, 0);
    let name = row_title(app, app.list().position);
    let fold = if app.folding == Folding::Folded { "x unfolds frames" } else { "x folds frames" };
    let hint = match app.panel {
        Panel::Full => format!(" {fold} "),
        _ => format!(" Enter enlarges, Esc closes, {fold} "),
    };
    if below > 0 {
        pen.at_right(&format!("{below} more below"), Role::Accent);
    }
    if pen.left() > hint.len() + 30 {
        pen.at_right(&hint, Role::Faint);
    }
    pen.put(glyphs.rule(), Role::Accent).skip(1).put(&name, Role::Strong).skip(1);
    let rest = pen.left();
    pen.put(&glyphs.rule().repeat(rest), Role::Accent);
}

/// Its verdicts, its facts, its stack.
fn main_column(app: &App, cells: usize) -> Lines {
    let mut all = verdicts::reasons(app, cells);
    lines::join(&mut all, about::of_row(app, cells));
    lines::join(&mut all, stack::of_row(app, cells));
    all
}

/// Its history, lifetimes, peers, holders and call sites.
fn side_column(app: &App, cells: usize) -> Lines {
    let mut all = curves::open_over_time(app, cells);
    if let Some((AnyTable::Callsites(table), at)) = app.table().zip(app.selected_row())
        && let Some(site) = table.items.get(at)
    {
        lines::join(&mut all, lifetimes::of_site(app, site, cells));
        lines::join(&mut all, lists::peers(app, site));
    }
    lines::join(&mut all, lists::holders(app, cells));
    lines::join(&mut all, lists::callsites(app));
    all
}

/// Draws lines from the scroll position on, not beyond the end. Returns how many are below.
fn column(app: &App, lines: &Lines, area: Rect, buffer: &mut Buffer) -> usize {
    let height = usize::from(area.height);
    let top = app.detail_scroll.min(lines.len().saturating_sub(height));
    for (row, line) in (0..area.height).zip(lines.iter().skip(top)) {
        let mut pen = Pen::new(app, buffer, area, row);
        for (text, role) in line {
            pen.put(text, *role);
        }
    }
    lines.len().saturating_sub(top + height)
}
