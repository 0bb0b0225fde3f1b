//! Progress of adopting sockets that were open before the tracer.

use super::pen::Pen;
use crate::app::App;
use crate::signs::Signs as _;
use crate::theme::Role;
use leaktrace_model::format_count;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Draws it in one line, while there is progress to show.
pub(crate) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let Some(adopting) = app.adopting else { return };
    let mut pen = Pen::new(app, buffer, area, 0);
    let done = format_count(adopting.done);
    let text = match adopting.total {
        Some(total) => format!("adopting {done} of ~{} sockets ", format_count(total)),
        None => format!("adopting sockets: {done} so far "),
    };
    pen.put(&text, Role::Accent);
    let Some(total) = adopting.total.filter(|total| *total > 0) else { return };
    let share = (adopting.done as f64 / total as f64).min(1.0);
    let percent = format!(" {:.0}%", share * 100.0);
    let room = pen.left().saturating_sub(percent.len()).min(60);
    let done = (room as f64 * share) as usize;
    let glyphs = app.options.glyphs;
    pen.put(&glyphs.done().repeat(done), Role::Accent);
    pen.put(&glyphs.rule().repeat(room - done), Role::Faint).put(&percent, Role::Text);
}
