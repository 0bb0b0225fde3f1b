//! The dialog of an export: format, file, what is written.

use super::dialog;
use super::pen::Pen;
use crate::app::App;
use crate::app::mode::Export;
use crate::signs::Signs as _;
use crate::text::{clean, fit_end, width};
use crate::theme::Role;
use leaktrace_output::ReportFormat;
use ratatui::buffer::Buffer;
use ratatui::layout::Position;

/// Draws it; the place of the cursor.
pub(crate) fn draw(app: &App, dialog: &Export, buffer: &mut Buffer) -> Option<Position> {
    let glyphs = app.options.glyphs;
    let formats = ReportFormat::ALL;
    let area = dialog::open(app, "Export", 66, formats.len() as u16 + 5, buffer);
    // In little room, only the chosen format is listed.
    let room = usize::from(area.height).saturating_sub(3);
    let chosen = formats.iter().position(|format| *format == dialog.format).unwrap_or(0);
    let top = (chosen + 1).saturating_sub(room.max(1)).min(formats.len());
    let names = formats.iter().map(|format| format.name().len()).max().unwrap_or(0) + 2;
    let mut row = 0;
    Pen::new(app, buffer, area, row).put("Write ", Role::Faint).put(&dialog.what, Role::Strong);
    row += 1 + u16::from(room > formats.len());
    for format in formats.iter().skip(top).take(room.max(1)) {
        let on = *format == dialog.format;
        let pointer = if on { glyphs.pointer() } else { " " };
        let role = if on { Role::Accent } else { Role::Text };
        let mut pen = Pen::new(app, buffer, area, row);
        pen.put(pointer, Role::Accent)
            .skip(1)
            .put(&format!("{:<names$}", format.name()), role)
            .put(format.about(), Role::Faint);
        row += 1;
    }
    row += u16::from(room > formats.len());
    let mut pen = Pen::new(app, buffer, area, row);
    pen.put("to ", Role::Faint);
    let before = fit_end(clean(dialog.path.before_cursor(), glyphs), pen.left().saturating_sub(1), glyphs);
    let cursor = Position { x: pen.x() + width(&before) as u16, y: area.y + row };
    pen.put(&before, Role::Strong);
    let after = dialog.path.text().get(dialog.path.before_cursor().len()..).unwrap_or_default();
    pen.put(&clean(after, glyphs), Role::Strong);
    (row < area.height && cursor.x < area.right()).then_some(cursor)
}
