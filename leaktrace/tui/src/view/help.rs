//! The page of keys and signs, from the table that dispatches the keys.

use super::dialog;
use crate::app::App;
use crate::app::keys::{Binding, Context, bindings};
use crate::signs::Signs as _;
use crate::text::{width, wrap};
use crate::theme::Role;
use leaktrace_model::{Glyphs, Severity, Verdict};
use ratatui::buffer::Buffer;

/// Cells of the column of keys.
const KEYS: usize = 18;

/// Draws it.
pub(crate) fn draw(app: &App, scroll: usize, buffer: &mut Buffer) {
    let cells = usize::from(app.size.0.saturating_sub(4)).clamp(1, 92);
    let lines = lines(app, cells);
    let area = dialog::open(app, "Keys and signs", cells as u16, lines.len() as u16, buffer);
    dialog::page(app, &lines, scroll, area, buffer);
}

fn lines(app: &App, cells: usize) -> Vec<(String, Role)> {
    let glyphs = app.options.glyphs;
    let mut lines = Vec::new();
    for severity in [Severity::Leak, Severity::Suspect, Severity::Info] {
        let names: Vec<&str> =
            Verdict::ALL.into_iter().filter(|v| v.severity() == severity).map(Verdict::name).collect();
        let text = format!("{} {}: {}", glyphs.severity(Some(severity)), severity.name(), names.join(", "));
        lines.extend(wrap(&text, cells).into_iter().map(|line| (line, Role::Bad(severity))));
    }
    let growing = format!("{} growing: more open sockets than churn explains; of a call site or peer", glyphs.up());
    lines.extend(wrap(&growing, cells).into_iter().map(|line| (line, Role::Warning)));
    let bound = format!("{} a lower bound: older than the tracer   {} not known", glyphs.bound(), glyphs.absent());
    lines.extend(wrap(&bound, cells).into_iter().map(|line| (line, Role::Faint)));
    for context in Context::ALL {
        lines.push((String::new(), Role::Text));
        lines.push((context.title().to_owned(), Role::Strong));
        for row in bindings(context) {
            entry(row, glyphs, cells, &mut lines);
        }
    }
    lines
}

fn entry(row: &Binding, glyphs: Glyphs, cells: usize, lines: &mut Vec<(String, Role)>) {
    let keys: Vec<String> = row.keys.iter().map(|key| key.sign(glyphs)).collect();
    let keys = keys.join(" ");
    if cells < 60 {
        lines.extend(wrap(&format!("{keys}: {}", row.long), cells).into_iter().map(|line| (line, Role::Text)));
        return;
    }
    let mut texts = wrap(row.long, cells - KEYS - 2).into_iter();
    let pad = KEYS.saturating_sub(width(&keys));
    let first = texts.next().unwrap_or_default();
    lines.push((format!("  {keys}{}{first}", " ".repeat(pad.max(1))), Role::Text));
    lines.extend(texts.map(|text| (format!("  {}{text}", " ".repeat(KEYS)), Role::Text)));
}
