//! The dialog of the thresholds; a choice applies at once.

use super::dialog;
use super::pen::Pen;
use crate::app::App;
use crate::short_numbers::duration;
use crate::signs::Signs as _;
use crate::theme::Role;
use ratatui::buffer::Buffer;

/// Draws it.
pub(crate) fn draw(app: &App, entry: usize, buffer: &mut Buffer) {
    let Some(now) = app.limits() else { return };
    let glyphs = app.options.glyphs;
    let lines = [
        ("threshold", now.threshold, "age from which a socket is long-lived"),
        ("stall", now.stall, "how long a stuck state must last"),
        ("idle", now.idle, "how long without payload counts as idle"),
    ];
    let area = dialog::open(app, "Thresholds", 64, 5, buffer);
    for (row, (at, (name, span, about))) in (0u16..).zip(lines.into_iter().enumerate()) {
        let on = at == entry;
        let mut pen = Pen::new(app, buffer, area, row);
        pen.put(if on { glyphs.pointer() } else { " " }, Role::Accent).skip(1);
        pen.put(&format!("{name:<10}"), if on { Role::Accent } else { Role::Text });
        let value = duration(span);
        let (less, more) = if on { ("- ", " +") } else { ("  ", "  ") };
        pen.put(less, Role::Accent).put(&format!("{value:>7}"), Role::Strong).put(more, Role::Accent);
        pen.skip(2).put(about, Role::Faint);
    }
    let text = if app.chosen.is_some() { "Holds from the next sample on" } else { "Holds now" };
    Pen::new(app, buffer, area, 4).put(text, Role::Faint);
}
