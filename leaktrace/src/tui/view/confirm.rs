//! Asks before sockets are closed, and names them.

use super::dialog;
use super::pen::Pen;
use crate::tui::app::App;
use crate::tui::mode::Confirm;
use crate::tui::text::{width, wrap};
use crate::tui::theme::Role;
use crate::units::{format_count, format_counted};
use leaktrace_common::Severity;
use ratatui::buffer::Buffer;

/// Draws it.
pub fn draw(app: &App, dialog: &Confirm, buffer: &mut Buffer) {
    let count = dialog.sockets.len() as u64;
    let title = format!("Close {}?", format_counted(count, "socket"));
    let widest = dialog.lines.iter().take(200).map(|line| width(line)).max().unwrap_or(0).clamp(56, 120);
    let inside = widest.min(usize::from(app.size.0.saturating_sub(4)));
    let head = head(dialog, inside);
    let tail =
        wrap("The kernel resets each connection; reads and writes of the application fail from then on.", inside);
    let fixed = head.len() + tail.len() + 3;
    let wanted = (fixed + dialog.lines.len()).min(usize::from(u16::MAX)) as u16;
    let area = dialog::open(app, &title, widest as u16, wanted, buffer);
    let mut row = 0;
    for (line, role) in &head {
        Pen::new(app, buffer, area, row).put(line, *role);
        row += 1;
    }
    let room =
        usize::from(area.height.saturating_sub(row)).saturating_sub(if area.height > 8 { tail.len() + 2 } else { 1 });
    let top = dialog.scroll.min(dialog.lines.len().saturating_sub(room));
    for line in dialog.lines.iter().skip(top).take(room) {
        Pen::new(app, buffer, area, row).put(line, Role::Text);
        row += 1;
    }
    let shown = dialog.lines.len().min(top + room) as u64;
    if area.height > 8 {
        if count > shown {
            Pen::new(app, buffer, area, row).put(&format!("and {} more", format_count(count - shown)), Role::Faint);
        }
        row += 1;
        for line in &tail {
            Pen::new(app, buffer, area, row).put(line, Role::Faint);
            row += 1;
        }
    }
    let mut pen = Pen::new(app, buffer, area, area.height.saturating_sub(1));
    pen.put("y", Role::Accent)
        .put(" close   ", Role::Bad(Severity::Leak))
        .put("n", Role::Accent)
        .put(" keep", Role::Text);
}

fn head(dialog: &Confirm, cells: usize) -> Vec<(String, Role)> {
    let mut text = format!("Of {}, by cookie and in their network namespaces:", dialog.whose);
    if dialog.unlisted > 0 {
        let more = format_count(dialog.unlisted);
        text = format!(
            "Of {}; {more} more that are not flagged stay open. By cookie and in their network namespaces:",
            dialog.whose
        );
    }
    wrap(&text, cells.max(8)).into_iter().map(|line| (line, Role::Text)).collect()
}
