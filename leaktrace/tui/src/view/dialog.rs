//! The frame of dialogs and pages: a box in the middle, or the whole screen if it is small.

use super::pen::Pen;
use crate::app::App;
use crate::signs::Signs as _;
use crate::text::{fit, width};
use crate::theme::Role;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};

/// Clears an area of `cells` by `lines` above the footer, draws a box with a title, and returns the area inside.
pub(crate) fn open(app: &App, title: &str, cells: u16, lines: u16, buffer: &mut Buffer) -> Rect {
    let (width, height) = app.size;
    let whole = Rect { x: 0, y: 0, width, height: height.saturating_sub(1) }.intersection(buffer.area);
    let (wide, high) = (cells.saturating_add(4).min(whole.width), lines.saturating_add(2).min(whole.height));
    let outer = Rect { x: (whole.width - wide) / 2, y: (whole.height - high) / 2, width: wide, height: high };
    Clear.render(outer, buffer);
    if high < 4 || wide < 12 {
        return outer;
    }
    frame(app, title, outer, buffer);
    Rect { x: outer.x + 2, y: outer.y + 1, width: wide - 4, height: high - 2 }
}

fn frame(app: &App, title: &str, outer: Rect, buffer: &mut Buffer) {
    let glyphs = app.options.glyphs;
    let [top_left, top_right, bottom_left, bottom_right] = glyphs.corners();
    let inside = usize::from(outer.width) - 2;
    let title = fit(title, inside.saturating_sub(4), glyphs);
    let after = inside.saturating_sub(width(&title) + 3);
    let mut pen = Pen::new(app, buffer, outer, 0);
    pen.put(top_left, Role::Accent).put(glyphs.rule(), Role::Accent).skip(1).put(&title, Role::Strong).skip(1);
    pen.put(&glyphs.rule().repeat(after), Role::Accent).put(top_right, Role::Accent);
    for row in 1..outer.height - 1 {
        let mut pen = Pen::new(app, buffer, outer, row);
        pen.put(glyphs.track(), Role::Accent).skip(inside as u16).put(glyphs.track(), Role::Accent);
    }
    let mut pen = Pen::new(app, buffer, outer, outer.height - 1);
    pen.put(bottom_left, Role::Accent).put(&glyphs.rule().repeat(inside), Role::Accent).put(bottom_right, Role::Accent);
}

/// The lines of a page from `scroll` on, not beyond its end, with a hint at what follows below.
pub(crate) fn page(app: &App, lines: &[(String, Role)], scroll: usize, area: Rect, buffer: &mut Buffer) {
    let height = usize::from(area.height);
    let top = scroll.min(lines.len().saturating_sub(height));
    for (row, (line, role)) in (0..area.height).zip(lines.iter().skip(top)) {
        Pen::new(app, buffer, area, row).put(line, *role);
    }
    let below = lines.len().saturating_sub(top + height);
    if below > 0 {
        // On the frame, below the last line.
        let frame = Rect { height: area.height + 1, ..area };
        Pen::new(app, buffer, frame, area.height).at_right(&format!(" {below} more below "), Role::Accent);
    }
}
