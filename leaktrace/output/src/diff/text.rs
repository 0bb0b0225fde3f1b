//! A comparison for people: within 100 columns, worst first.

use super::{
    change::{Change, ChangeKind, Numbers},
    comparison::Diff,
    read::Report,
};
use crate::{
    callsite_name::how_opened,
    clean::clean,
    layout::{Align, Table, fit, wrap_words},
};
use leaktrace_model::{Glyphs, Verdict, format_count, format_counted, format_duration};
use std::io::{self, Write};

const COLUMNS: usize = 100;
const GLYPHS: Glyphs = Glyphs::Unicode;
/// Most rows of one kind; the rest is only counted.
const ROWS: usize = 30;

impl Diff {
    /// Writes it for people, within 100 columns.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", fit(&format!("old: {}", report(&self.old)), COLUMNS, GLYPHS))?;
        writeln!(out, "new: {}", fit(&report(&self.new), COLUMNS - 5, GLYPHS))?;
        writeln!(out)?;
        writeln!(out, "{}", summary(self))?;
        for kind in [ChangeKind::Grown, ChangeKind::New, ChangeKind::Shrunk, ChangeKind::Gone] {
            let changes: Vec<&Change> = self.changes.iter().filter(|change| change.kind == kind).collect();
            if !changes.is_empty() {
                section(kind, &changes, out)?;
            }
        }
        Ok(())
    }
}

fn report(report: &Report) -> String {
    let host = report.hostname.as_deref().map(clean).unwrap_or_else(|| "unknown host".into());
    let span = report.seconds.map(|seconds| format!(", {}", format_duration(seconds))).unwrap_or_default();
    let end = report.end.as_deref().map(|end| format!(" until {}", clean(end))).unwrap_or_default();
    let number = |number: Option<u64>| number.map_or_else(|| GLYPHS.absent().to_owned(), format_count);
    format!(
        "{host}{span}{end}: {} open, {} flagged, {}",
        number(report.open),
        number(report.flagged),
        format_counted(report.callsites.len() as u64, "call site")
    )
}

fn summary(diff: &Diff) -> String {
    let mut parts = Vec::new();
    for kind in ChangeKind::ALL {
        let count = diff.count(kind) as u64;
        if count > 0 {
            let word = if kind == ChangeKind::Same { "much the same" } else { kind.name() };
            parts.push(format!("{} {word}", format_count(count)));
        }
    }
    if parts.is_empty() {
        "No call sites in either report.".to_owned()
    } else {
        format!("Call sites: {}.", parts.join(", "))
    }
}

fn section(kind: ChangeKind, changes: &[&Change], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n{}", kind.name().to_uppercase())?;
    let columns = [
        ("OPEN", Align::Right),
        ("LEAKED", Align::Right),
        ("FLAGGED", Align::Right),
        ("PROCESS", Align::Left),
        ("OPENED BY", Align::Left),
    ];
    let mut table = Table::new(2, &columns);
    for change in changes.iter().take(ROWS) {
        table.row(row(change));
    }
    // The table is laid out as a whole, so that columns align. The verdicts are then put below each row.
    let mut laid_out = Vec::new();
    table.write(&mut laid_out, COLUMNS, GLYPHS)?;
    let laid_out = String::from_utf8_lossy(&laid_out);
    let mut lines = laid_out.lines();
    writeln!(out, "{}", lines.next().unwrap_or_default())?;
    for (line, change) in lines.zip(changes) {
        writeln!(out, "{line}")?;
        for line in wrap_words(&verdicts(change), COLUMNS - 6, GLYPHS) {
            writeln!(out, "      {line}")?;
        }
    }
    if changes.len() > ROWS {
        writeln!(
            out,
            "  and {} more; --json lists them all",
            format_counted((changes.len() - ROWS) as u64, "call site")
        )?;
    }
    Ok(())
}

fn row(change: &Change) -> Vec<String> {
    vec![
        before_and_after(change, |numbers| numbers.open),
        before_and_after(change, |numbers| numbers.leaked),
        before_and_after(change, |numbers| numbers.flagged),
        fit(&clean(&change.comm), 15, GLYPHS),
        format!("{}{}", how_opened(change.direction), change.name),
    ]
}

fn before_and_after(change: &Change, number: impl Fn(&Numbers) -> u64) -> String {
    match (&change.old, &change.new) {
        (Some(old), Some(new)) if number(old) != number(new) => {
            format!("{} → {}", format_count(number(old)), format_count(number(new)))
        }
        (Some(one), _) | (None, Some(one)) => format_count(number(one)),
        (None, None) => GLYPHS.absent().to_owned(),
    }
}

/// The verdicts of the flagged sockets: `never-read 0 → 100, close-wait 18`; empty when none is flagged.
fn verdicts(change: &Change) -> String {
    let sockets = |side: &Option<Numbers>, verdict| side.as_ref().map_or(0, |numbers| numbers.verdicts.get(verdict));
    let words = Verdict::ALL.into_iter().filter_map(|verdict| {
        let (old, new) = (sockets(&change.old, verdict), sockets(&change.new, verdict));
        let numbers = match (&change.old, &change.new) {
            (Some(_), Some(_)) if old != new => format!("{} → {}", format_count(old), format_count(new)),
            _ => format_count(old.max(new)),
        };
        (old.max(new) > 0).then(|| format!("{} {numbers}", verdict.name()))
    });
    words.collect::<Vec<_>>().join(", ")
}
