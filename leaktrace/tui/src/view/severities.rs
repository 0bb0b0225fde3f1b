//! How many sockets are flagged, by severity.

use super::pen::Pen;
use crate::app::App;
use crate::signs::Signs as _;
use crate::theme::Role;
use leaktrace_model::{Severity, format_count};

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// `● 12 leaks`
    Long,
    /// `●12`
    Short,
}

/// Writes the counts, worst first.
pub(crate) fn write(app: &App, pen: &mut Pen<'_>, words: Words) {
    let Some(data) = &app.data else { return };
    let glyphs = app.options.glyphs;
    let flagged = data.snapshot.totals.sums.flagged;
    let listed = data.index.flagged();
    if flagged == 0 && listed == 0 {
        let text = if words == Words::Long { " nothing is flagged" } else { "" };
        pen.put(glyphs.check(), Role::Good).put(text, Role::Good);
        return;
    }
    for severity in [Severity::Leak, Severity::Suspect, Severity::Info] {
        let count = data.index.of_severity(severity);
        let role = if count == 0 { Role::Faint } else { Role::Bad(severity) };
        let text = match words {
            Words::Long => {
                format!("{} {} {}  ", glyphs.severity(Some(severity)), format_count(count), name(severity, count))
            }
            Words::Short => format!("{}{} ", glyphs.severity(Some(severity)), crate::short_numbers::short_count(count)),
        };
        pen.put(&text, role);
    }
    if words == Words::Long && flagged > listed {
        pen.put(&format!("{} more flagged, not listed  ", format_count(flagged - listed)), Role::Text);
    }
}

fn name(severity: Severity, count: u64) -> String {
    match severity {
        Severity::Info => "info".to_owned(),
        _ if count == 1 => severity.name().to_owned(),
        _ => format!("{}s", severity.name()),
    }
}
