//! Open sockets over time.

use super::lines::{Lines, line};
use crate::app::App;
use crate::rows::history::{Points, Whose};
use crate::rows::row_key::RowKey;
use crate::short_numbers::short_count;
use crate::signs::Signs as _;
use crate::theme::Role;
use crate::view::curve;
use leaktrace_model::{GroupKey, format_count, format_duration};

/// Lines of the curve.
const HEIGHT: usize = 4;

fn points(app: &App) -> Option<Points<'_>> {
    match app.detail.as_ref()?.key.as_ref()? {
        RowKey::Callsite(id) => app.history.row(Whose::Callsite(*id)),
        RowKey::Process(pid) => app.history.row(Whose::Process(*pid)),
        RowKey::Peer(peer) => app.history.row(Whose::Group(GroupKey::Peer(*peer))),
        _ => None,
    }
}

/// A curve of several lines with its highest count.
pub(crate) fn open_over_time(app: &App, cells: usize) -> Lines {
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
        app.options.glyphs.arrow(),
        format_count(u64::from(*last))
    );
    let mut lines = vec![line(title, Role::Strong)];
    for (nth, row) in curve::rows(&counts, HEIGHT, app.options.glyphs).into_iter().enumerate() {
        let label = match nth {
            0 => axis[0].as_str(),
            n if n + 1 == HEIGHT => axis[1].as_str(),
            _ => "",
        };
        lines.push(vec![(format!("{label:>width$} ", width = digits), Role::Faint), (row, Role::Curve)]);
    }
    lines
}
