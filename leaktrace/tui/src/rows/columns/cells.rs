//! Cells that several tables have: figures, verdicts, trends.

use super::{Around, Cell, Column, Content, Sort, When, right};
use crate::rows::history::Points;
use crate::rows::view_kind::Opened;
use crate::short_numbers;
use crate::signs::Signs as _;
use crate::text::clean;
use crate::theme::Role;
use leaktrace_model::{Oldest, Severity, Trend, Verdict, seconds};
use leaktrace_output::heading;
use std::borrow::Cow;
use std::net::IpAddr;

/// Text that another program chose; it is cleaned here.
pub(crate) fn foreign<'a>(text: &'a str, around: &Around<'a>, role: Role) -> Cell<'a> {
    Cell { text: clean(text, around.glyphs), style: around.colour.style(role) }
}

/// Text of leaktrace itself, which is clean.
pub(crate) fn own<'a>(text: impl Into<Cow<'a, str>>, around: &Around<'a>, role: Role) -> Cell<'a> {
    Cell { text: text.into(), style: around.colour.style(role) }
}

/// The value is not known.
pub(crate) fn absent<'a>(around: &Around<'a>) -> Cell<'a> {
    own(around.glyphs.absent(), around, Role::Faint)
}

/// The sign of the worst verdict.
pub(crate) fn sign<'a>(around: &Around<'a>) -> Cell<'a> {
    let severity = around.counts.worst();
    Cell { text: Cow::Borrowed(around.glyphs.severity(severity)), style: around.colour.severity(severity) }
}

/// How bad, as a number to sort by: severity first, then how many.
pub(crate) fn badness(around: &Around<'_>) -> Option<f64> {
    let mut sum = 0.0;
    for verdict in Verdict::ALL {
        let weight = match verdict.severity() {
            Severity::Leak => 1e12,
            Severity::Suspect => 1e6,
            Severity::Info => 1.0,
        };
        sum += weight * around.counts.get(verdict).min(999_999) as f64;
    }
    Some(sum)
}

/// Which end opened the sockets.
pub(crate) fn opened<'a>(around: &Around<'a>) -> Cell<'a> {
    own(around.opened.map_or("", Opened::name), around, Role::Faint)
}

/// An address, which is clean as it is.
pub(crate) fn address<'a>(address: impl ToString, around: &Around<'a>, role: Role) -> Cell<'a> {
    own(address.to_string(), around, role)
}

/// The name of a peer, where it is looked up and known.
pub(crate) fn peer_name<'a>(peer: IpAddr, around: &Around<'a>) -> Cell<'a> {
    match around.names.get(peer) {
        Some(name) => foreign(name, around, Role::Text),
        None => absent(around),
    }
}

/// A count.
pub(crate) fn count<'a>(n: u64, around: &Around<'a>) -> Cell<'a> {
    own(short_numbers::short_count(n), around, if n == 0 { Role::Faint } else { Role::Text })
}

/// A count of sockets with a verdict.
pub(crate) fn flagged<'a>(n: u64, around: &Around<'a>) -> Cell<'a> {
    let style = if n == 0 { around.colour.style(Role::Faint) } else { around.colour.severity(around.counts.worst()) };
    Cell { text: Cow::Owned(short_numbers::short_count(n)), style }
}

/// A size.
pub(crate) fn size<'a>(bytes: u64, around: &Around<'a>) -> Cell<'a> {
    own(short_numbers::short_size(bytes), around, if bytes == 0 { Role::Faint } else { Role::Text })
}

/// A span.
pub(crate) fn span<'a>(seconds: Option<f64>, around: &Around<'a>) -> Cell<'a> {
    match seconds {
        Some(seconds) => own(short_numbers::span(seconds), around, Role::Text),
        None => absent(around),
    }
}

/// An age that may be a lower bound.
pub(crate) fn age<'a>(age: Option<Oldest>, around: &Around<'a>) -> Cell<'a> {
    match age {
        Some(age) => own(short_numbers::age(seconds(age.age_ns), age.exact, around.glyphs), around, Role::Text),
        None => absent(around),
    }
}

/// A change a minute; marked where the row is judged to grow.
pub(crate) fn growth<'a>(trend: Option<Trend>, around: &Around<'a>) -> Cell<'a> {
    let Some(trend) = trend else { return absent(around) };
    let text = short_numbers::per_minute(trend.per_min);
    if trend.growing {
        let marked = format!("{}{}", around.glyphs.up(), text.trim_start_matches('+'));
        return own(marked, around, Role::Warning);
    }
    own(text, around, Role::Faint)
}

/// The count of one verdict.
pub(crate) fn verdict<'a>(verdict: Verdict, around: &Around<'a>) -> Cell<'a> {
    let n = around.counts.get(verdict);
    if n == 0 {
        return own("", around, Role::Text);
    }
    own(short_numbers::short_count(n), around, Role::Bad(verdict.severity()))
}

/// All verdicts in one text, worst first: `12 close-wait 3 idle-unguarded`, or `12 close-wait +1` in a narrower column.
pub(crate) fn verdicts<'a>(around: &Around<'a>) -> Cell<'a> {
    let words =
        around.counts.iter().map(|(verdict, n)| format!("{} {}", short_numbers::short_count(n), verdict.name()));
    Cell {
        text: Cow::Owned(as_fits(words.collect(), around.width)),
        style: around.colour.severity(around.counts.worst()),
    }
}

/// The names of the verdicts of one socket, worst first.
pub(crate) fn verdict_names<'a>(around: &Around<'a>) -> Cell<'a> {
    let words = around.counts.iter().map(|(verdict, _)| verdict.name().to_owned()).collect();
    Cell { text: Cow::Owned(as_fits(words, around.width)), style: around.colour.severity(around.counts.worst()) }
}

/// As many words as fit, then the number of the others. The first word is always there.
fn as_fits(words: Vec<String>, cells: usize) -> String {
    let mut text = String::new();
    for (nth, word) in words.iter().enumerate() {
        let after = if nth + 1 < words.len() { " +9".len() } else { 0 };
        if nth > 0 && text.len() + 1 + word.len() + after > cells {
            text.push_str(&format!(" +{}", words.len() - nth));
            break;
        }
        if nth > 0 {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// The curve of open sockets, scaled from its lowest to its highest count; flat if the count hardly moved.
pub(crate) fn trend<'a>(points: Option<Points<'_>>, around: &Around<'a>) -> Cell<'a> {
    let Some(points) = points else { return own("", around, Role::Faint) };
    let columns = points.columns(around.width);
    let (low, high) = columns.iter().fold((u32::MAX, 0), |(low, high), n| (low.min(*n), high.max(*n)));
    let spread = high.saturating_sub(low);
    let level = spread == 0 || u64::from(spread) * 50 < u64::from(high);
    let bars = around.glyphs.bars();
    let text: String = columns
        .iter()
        .map(|n| {
            let step = if level { 0 } else { u64::from(n - low) * 7 / u64::from(spread) };
            bars[usize::try_from(step).unwrap_or(7).min(7)]
        })
        .collect();
    own(text, around, if level { Role::Faint } else { Role::Curve })
}

/// A column for each verdict, worst first.
pub(crate) fn verdict_columns<T: 'static>() -> impl Iterator<Item = Column<T>> {
    Verdict::ALL.into_iter().map(|shown| {
        let head = right(heading(shown), shown.name(), [6, 6, 6], 5).when(When::Seen(shown));
        head.has(Content::Verdict(shown), Sort::Verdict(shown))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_that_do_not_fit_are_counted() {
        let words = || vec!["4 close-wait".to_owned(), "4 long-lived".to_owned(), "1 never-read".to_owned()];
        assert_eq!(as_fits(words(), 60), "4 close-wait 4 long-lived 1 never-read");
        assert_eq!(as_fits(words(), 28), "4 close-wait 4 long-lived +1");
        assert_eq!(as_fits(words(), 16), "4 close-wait +2");
        assert_eq!(as_fits(Vec::new(), 16), "");
    }
}
