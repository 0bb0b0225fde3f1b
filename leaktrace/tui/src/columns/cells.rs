//! Cells that several tables have: figures, verdicts, trends.

use super::{Around, Cell, Column, Sort, When, right};
use crate::{facts::worst, figures, history::Points, text::clean, theme::Role};
use leaktrace_common::{Severity, Verdict};
use std::borrow::Cow;

/// Text as others chose it.
pub fn foreign<'a>(text: &'a str, around: &Around<'a>, role: Role) -> Cell<'a> {
    Cell { text: clean(text, around.charset), style: around.colour.style(role) }
}

/// Text of our own.
pub fn own<'a>(text: impl Into<Cow<'a, str>>, around: &Around<'a>, role: Role) -> Cell<'a> {
    Cell { text: text.into(), style: around.colour.style(role) }
}

/// Nothing is known.
pub fn absent<'a>(around: &Around<'a>) -> Cell<'a> {
    own(around.charset.absent(), around, Role::Faint)
}

/// The sign of the worst verdict.
pub fn sign<'a>(around: &Around<'a>) -> Cell<'a> {
    let severity = worst(&around.counts);
    Cell { text: Cow::Borrowed(around.charset.severity(severity)), style: around.colour.severity(severity) }
}

/// How bad, as a number to sort by: severity first, then how many.
pub fn badness(around: &Around<'_>) -> Option<f64> {
    let mut sum = 0.0;
    for verdict in Verdict::ALL {
        let weight = match verdict.severity() {
            Severity::Leak => 1e12,
            Severity::Suspect => 1e6,
            Severity::Info => 1.0,
        };
        sum += weight * around.counts[verdict as usize].min(999_999) as f64;
    }
    Some(sum)
}

/// A count.
pub fn count<'a>(n: u64, around: &Around<'a>) -> Cell<'a> {
    own(figures::short_count(n), around, if n == 0 { Role::Faint } else { Role::Text })
}

/// A count of sockets with a verdict.
pub fn flagged<'a>(n: u64, around: &Around<'a>) -> Cell<'a> {
    let style = if n == 0 { around.colour.style(Role::Faint) } else { around.colour.severity(worst(&around.counts)) };
    Cell { text: Cow::Owned(figures::short_count(n)), style }
}

/// A size.
pub fn size<'a>(bytes: u64, around: &Around<'a>) -> Cell<'a> {
    own(figures::short_size(bytes), around, if bytes == 0 { Role::Faint } else { Role::Text })
}

/// A span.
pub fn span<'a>(seconds: Option<f64>, around: &Around<'a>) -> Cell<'a> {
    match seconds {
        Some(seconds) => own(figures::span(seconds), around, Role::Text),
        None => absent(around),
    }
}

/// An age that may be a lower bound.
pub fn age<'a>(seconds: Option<f64>, exact: bool, around: &Around<'a>) -> Cell<'a> {
    match seconds {
        Some(seconds) => own(figures::age(seconds, exact, around.charset), around, Role::Text),
        None => absent(around),
    }
}

/// A change a minute; marked where the row is judged to grow.
pub fn growth<'a>(rate: Option<f64>, growing: Option<bool>, around: &Around<'a>) -> Cell<'a> {
    let Some(rate) = rate else { return absent(around) };
    let text = figures::per_minute(rate);
    match growing {
        Some(true) => {
            let marked = format!("{}{}", around.charset.up(), text.trim_start_matches('+'));
            own(marked, around, Role::Warning)
        }
        _ => own(text, around, Role::Faint),
    }
}

/// The count of one verdict.
pub fn verdict<'a>(verdict: Verdict, around: &Around<'a>) -> Cell<'a> {
    let n = around.counts[verdict as usize];
    if n == 0 {
        return own("", around, Role::Text);
    }
    own(figures::short_count(n), around, Role::Bad(verdict.severity()))
}

/// All verdicts in one text, worst first: `12 close-wait 3 idle-unguarded`, `12 close-wait +1` where there is less room.
pub fn verdicts<'a>(around: &Around<'a>) -> Cell<'a> {
    let having =
        Verdict::ALL.into_iter().map(|verdict| (verdict, around.counts[verdict as usize])).filter(|pair| pair.1 > 0);
    let words = having.map(|(verdict, n)| format!("{} {}", figures::short_count(n), verdict.name()));
    Cell {
        text: Cow::Owned(as_fits(words.collect(), around.width)),
        style: around.colour.severity(worst(&around.counts)),
    }
}

/// The names of the verdicts of one socket, worst first.
pub fn verdict_names<'a>(around: &Around<'a>) -> Cell<'a> {
    let having = Verdict::ALL.into_iter().filter(|verdict| around.counts[*verdict as usize] > 0);
    let words = having.map(|verdict| verdict.name().to_owned()).collect();
    Cell { text: Cow::Owned(as_fits(words, around.width)), style: around.colour.severity(worst(&around.counts)) }
}

/// As many words as fit, the first one whatever its length, then how many more there are.
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

/// How the count of open sockets went, between its lowest and its highest; level where it hardly moved.
pub fn trend<'a>(points: Option<Points<'_>>, around: &Around<'a>) -> Cell<'a> {
    let Some(points) = points else { return own("", around, Role::Faint) };
    let columns = points.columns(around.width);
    let (low, high) = columns.iter().fold((u32::MAX, 0), |(low, high), n| (low.min(*n), high.max(*n)));
    let spread = high.saturating_sub(low);
    let level = spread == 0 || u64::from(spread) * 50 < u64::from(high);
    let bars = around.charset.bars();
    let text: String = columns
        .iter()
        .map(|n| {
            let step = if level { 0 } else { u64::from(n - low) * 7 / u64::from(spread) };
            bars[usize::try_from(step).unwrap_or(7).min(7)]
        })
        .collect();
    own(text, around, if level { Role::Faint } else { Role::Curve })
}

/// The column of the verdict at `V` in [`Verdict::ALL`].
pub const fn verdict_column<T: 'static, const V: usize>() -> Column<T> {
    right(heading(Verdict::ALL[V]), Verdict::ALL[V].name(), [6, 6, 6], 5)
        .when(When::Seen(Verdict::ALL[V]))
        .shows(|_, around| verdict(Verdict::ALL[V], around), Sort::Number(|_, around| Some(around.counts[V] as f64)))
}

/// A verdict in six cells.
const fn heading(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::CloseWait => "CLOSEW",
        Verdict::DeadHeld => "DEAD",
        Verdict::NeverRead => "UNREAD",
        Verdict::ReadStalled => "RSTALL",
        Verdict::WriteStalled => "WSTALL",
        Verdict::SilentPeer => "SILENT",
        Verdict::Connecting => "CONNEC",
        Verdict::NotAccepted => "QUEUED",
        Verdict::IdleUnguarded => "IDLE",
        Verdict::LongLived => "LONG",
    }
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
