//! The verdicts of the row and their evidence, in words.

use super::lines::{Lines, line, wrapped};
use crate::app::App;
use crate::signs::Signs as _;
use crate::text::clean;
use crate::theme::Role;
use leaktrace_model::format_count;

/// One line for each verdict, with the evidence of the worst socket.
pub(crate) fn reasons(app: &App, cells: usize) -> Lines {
    let Some(detail) = &app.detail else { return Lines::new() };
    let glyphs = app.options.glyphs;
    if detail.reasons.is_empty() {
        return vec![line(format!("{} no verdict holds", glyphs.check()), Role::Good)];
    }
    let mut lines = Lines::new();
    for reason in &detail.reasons {
        let severity = reason.verdict.severity();
        let many = reason.count > 1;
        let mut head = vec![
            (glyphs.severity(Some(severity)).to_owned(), Role::Bad(severity)),
            (format!(" {}", reason.verdict.name()), Role::Bad(severity)),
        ];
        if many {
            head.push((format!(" {}{}", glyphs.times(), format_count(reason.count)), Role::Strong));
        }
        let Some(words) = reason.words.as_deref().map(|words| clean(words, glyphs)) else {
            lines.push(head);
            continue;
        };
        let lead = if many { "  the worst: " } else { "  " };
        let used: usize = head.iter().map(|part| crate::text::width(&part.0)).sum();
        if used + lead.len() + crate::text::width(&words) <= cells {
            head.push((format!("{lead}{words}"), Role::Text));
            lines.push(head);
        } else {
            lines.push(head);
            lines.extend(wrapped(&format!("{}{words}", lead.trim_start()), 2, cells, Role::Text));
        }
    }
    lines
}
