//! Open sockets over time, and how long closed ones had lived.

use super::lines::{Lines, line, wrapped};
use crate::snapshot::Callsite;
use crate::tui::app::App;
use crate::tui::figures::short_count;
use crate::tui::history::{Points, Whose};
use crate::tui::row_key::RowKey;
use crate::tui::theme::Role;
use crate::tui::view::curve;
use crate::units::{format_count, format_duration};

/// Lines of the curve.
const HEIGHT: usize = 4;

fn points(app: &App) -> Option<Points<'_>> {
    match app.subject.as_ref()?.key.as_ref()? {
        RowKey::Callsite(id) => app.history.row(Whose::Callsite(*id)),
        RowKey::Process(pid) => app.history.row(Whose::Process(*pid)),
        RowKey::Peer(name) => app.history.row(Whose::group(name)),
        _ => None,
    }
}

/// A curve of several lines with its highest count.
pub fn open_over_time(app: &App, cells: usize) -> Lines {
    let Some(points) = points(app) else { return Lines::new() };
    let (Some(first), Some(last)) = (points.points.first(), points.points.last()) else { return Lines::new() };
    let scale = curve::scale(points.points);
    let reached = points.points.contains(&scale.high);
    let top = if reached { short_count(u64::from(scale.high)) } else { String::new() };
    let axis = [top, short_count(u64::from(scale.low))];
    let digits = axis[0].len().max(axis[1].len());
    let counts = points.columns(cells.saturating_sub(digits + 2).min(100));
    let title = format!(
        "Open over {}: {} {} {}",
        format_duration(app.history.seconds()),
        format_count(u64::from(*first)),
        app.options.charset.arrow(),
        format_count(u64::from(*last))
    );
    let mut lines = vec![line(title, Role::Strong)];
    for (nth, row) in curve::rows(&counts, HEIGHT, app.options.charset).into_iter().enumerate() {
        let label = match nth {
            0 => axis[0].as_str(),
            n if n + 1 == HEIGHT => axis[1].as_str(),
            _ => "",
        };
        lines.push(vec![(format!("{label:>width$} ", width = digits), Role::Faint), (row, Role::Curve)]);
    }
    lines
}

/// Shares of the closed sockets by lifetime, between the quantiles that are known, and the oldest open one beside them.
pub fn lifetimes(app: &App, site: &Callsite, cells: usize) -> Lines {
    let Some(life) = &site.lifetime_s else { return Lines::new() };
    let charset = app.options.charset;
    let mut lines = vec![line(format!("Lifetimes of {} closed", format_count(life.count)), Role::Strong)];
    let room = cells.saturating_sub(24).clamp(4, 30);
    let classes = [
        (life.p50, 50, "half within"),
        (life.p90, 40, "90% within"),
        (life.p99, 9, "99% within"),
        (life.max, 1, "longest"),
    ];
    for (seconds, share, name) in classes {
        let bar = charset.steps()[7].repeat((room * share / 50).max(1));
        lines.push(vec![
            (format!("{name:<11} "), Role::Faint),
            (format!("{:>8} ", format_duration(seconds)), Role::Text),
            (bar, Role::Curve),
        ]);
    }
    if let Some(times) =
        site.oldest_s.map(|oldest| oldest / life.p99).filter(|times| times.is_finite() && *times >= 2.0)
    {
        let bound = if site.oldest_exact { "" } else { "at least " };
        let text = format!("the oldest open one is {bound}{} times as old as 99% ever got", format_count(times as u64));
        lines.extend(wrapped(&text, 0, cells, Role::Warning));
    }
    lines
}
