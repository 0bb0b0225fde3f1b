//! How many sockets are flagged, by severity.

use super::pen::Pen;
use crate::{app::App, theme::Role};
use leaktrace_common::Severity;
use leaktrace_output::units::format_count;

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// `● 12 leaks`
    Long,
    /// `●12`
    Short,
}

/// Writes them, worst first.
pub fn write(app: &App, pen: &mut Pen<'_>, words: Words) {
    let Some(data) = &app.data else { return };
    let charset = app.options.charset;
    let flagged = data.snapshot.totals.flagged;
    let listed: u64 = data.facts.severities.iter().sum();
    if flagged == 0 && listed == 0 {
        let text = if words == Words::Long { " nothing is flagged" } else { "" };
        pen.put(charset.check(), Role::Good).put(text, Role::Good);
        return;
    }
    for severity in [Severity::Leak, Severity::Suspect, Severity::Info] {
        let count = data.facts.severities[severity as usize];
        let role = if count == 0 { Role::Faint } else { Role::Bad(severity) };
        let text = match words {
            Words::Long => {
                format!("{} {} {}  ", charset.severity(Some(severity)), format_count(count), name(severity, count))
            }
            Words::Short => format!("{}{} ", charset.severity(Some(severity)), crate::figures::short_count(count)),
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
