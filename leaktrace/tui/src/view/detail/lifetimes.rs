//! Lifetimes of the sockets that a call site has closed.

use super::lines::{Lines, line, wrapped};
use crate::app::App;
use crate::short_numbers::short_count;
use crate::signs::Signs as _;
use crate::theme::Role;
use leaktrace_model::{Callsite, Glyphs, LifetimeBucket, Lifetimes, format_count, format_duration};

/// Most lines of the histogram: where there are more classes than that, neighbours share one.
const MOST_ROWS: usize = 8;

/// The histogram on a logarithmic scale, its quantiles, and the oldest open one beside them.
pub(crate) fn of_site(app: &App, site: &Callsite, cells: usize) -> Lines {
    let Some(life) = &site.lifetimes else { return Lines::new() };
    let mut lines = vec![line(format!("Lifetimes of {} closed", format_count(life.count)), Role::Strong)];
    let rows = rows(&life.buckets);
    let most = rows.iter().map(|row| row.count).max().unwrap_or(0);
    let room = cells.saturating_sub(24).clamp(4, 30);
    for row in rows {
        lines.push(vec![
            (format!("below {:>6} ", bound(row.below)), Role::Faint),
            (format!("{:>6} ", short_count(row.count)), Role::Text),
            (bar(row.count, most, room, app.options.glyphs), Role::Curve),
        ]);
    }
    lines.extend(wrapped(&quantiles(life), 0, cells, Role::Text));
    if let Some(times) =
        site.sums.oldest_s().map(|oldest| oldest / life.p99).filter(|times| times.is_finite() && *times >= 2.0)
    {
        let bound = if site.sums.oldest_exact() { "" } else { "at least " };
        let text = format!("the oldest open one is {bound}{} times as old as 99% ever got", format_count(times as u64));
        lines.extend(wrapped(&text, 0, cells, Role::Warning));
    }
    lines
}

/// Short lifetimes have bounds below a millisecond, which other durations do not show.
fn bound(seconds: f64) -> String {
    if seconds < 0.001 { format!("{}us", (seconds * 1e6) as u64) } else { format_duration(seconds) }
}

fn quantiles(life: &Lifetimes) -> String {
    let [half, most, longest] = [life.p50, life.p99, life.max].map(format_duration);
    format!("half within {half}, 99% within {most}, the longest {longest}")
}

/// One row for each doubling from the first to the last, also if it is empty. Where there are many, two, four or more share a row.
fn rows(buckets: &[LifetimeBucket]) -> Vec<LifetimeBucket> {
    // Every bound is a power of two of nanoseconds, except the last one, which is any number above one.
    let class = |bucket: &LifetimeBucket| (bucket.below * 1e9).max(1.0).log2().ceil().min(64.0) as usize;
    let (Some(first), Some(last)) = (buckets.iter().map(class).min(), buckets.iter().map(class).max()) else {
        return Vec::new();
    };
    let mut step = 1;
    while (last - first) / step >= MOST_ROWS {
        step *= 2;
    }
    let mut rows: Vec<LifetimeBucket> = (0..=(last - first) / step)
        .map(|row| LifetimeBucket { below: ((first + (row + 1) * step - 1) as f64).exp2() / 1e9, count: 0 })
        .collect();
    for bucket in buckets {
        if let Some(row) = rows.get_mut((class(bucket) - first) / step) {
            row.count = row.count.saturating_add(bucket.count);
        }
    }
    rows
}

/// As long as its share of the longest, to an eighth of a cell; a count that is not zero is always visible.
fn bar(count: u64, most: u64, room: usize, glyphs: Glyphs) -> String {
    if count == 0 || most == 0 {
        return String::new();
    }
    let eighths = ((count as f64 / most as f64 * room as f64 * 8.0) as usize).max(1);
    let mut bar = glyphs.steps()[7].repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push_str(glyphs.steps()[eighths % 8 - 1]);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(power: i32, count: u64) -> LifetimeBucket {
        LifetimeBucket { below: 2_f64.powi(power) / 1e9, count }
    }

    #[test]
    fn rows_run_without_gaps_and_lose_nobody() {
        assert_eq!(rows(&[bucket(20, 3), bucket(22, 1)]), [bucket(20, 3), bucket(21, 0), bucket(22, 1)]);
        for last in 10..=53 {
            let all: Vec<LifetimeBucket> = (10..=last).map(|power| bucket(power, 5)).collect();
            let rows = rows(&all);
            assert!(rows.len() <= MOST_ROWS, "{} rows", rows.len());
            assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 5 * all.len() as u64);
            assert!(rows.last().is_some_and(|row| row.below >= all[all.len() - 1].below));
        }
        assert_eq!(rows(&[]), []);
    }

    #[test]
    fn bounds_from_a_foreign_report_are_survived() {
        let bounds = [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300];
        let foreign = bounds.map(|below| LifetimeBucket { below, count: u64::MAX });
        assert!(rows(&foreign).len() <= MOST_ROWS);
    }

    #[test]
    fn the_rarest_class_can_still_be_seen() {
        assert_eq!(bar(1, 1_000_000, 30, Glyphs::Unicode), "▏");
        assert_eq!(bar(7, 7, 4, Glyphs::Unicode), "████");
        assert_eq!(bar(0, 7, 4, Glyphs::Unicode), "");
    }
}
