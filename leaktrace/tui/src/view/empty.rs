//! The text in place of rows: that nothing is leaking and what is watched, or what hides the rows.

use super::pen::Pen;
use crate::app::App;
use crate::rows::view_kind::View;
use crate::short_numbers::duration;
use crate::signs::Signs as _;
use crate::text::{clean, wrap};
use crate::theme::Role;
use leaktrace_model::{Filter, Glyphs, Network, Snapshot, format_counted, format_duration};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Draws it.
pub(crate) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let paragraphs = match app.data.as_ref().map(|data| &*data.snapshot) {
        None => vec![("Waiting for the first sample".to_owned(), Role::Strong)],
        Some(snapshot) if app.is_narrowed() => hidden(app, snapshot),
        Some(snapshot) => healthy(app, snapshot),
    };
    let cells = usize::from(area.width.saturating_sub(4)).clamp(1, 76);
    let lines: Vec<(String, Role)> = paragraphs
        .into_iter()
        .flat_map(|(text, role)| wrap(&text, cells).into_iter().map(move |line| (line, role)))
        .collect();
    let spare = area.height.saturating_sub(lines.len() as u16);
    let top = if spare > 4 { spare / 3 } else { 0 };
    let left = area.width.saturating_sub(cells as u16) / 2;
    for (row, (line, role)) in (top..).zip(lines) {
        Pen::new(app, buffer, area, row).skip(left).put(&line, role);
    }
}

fn hidden(app: &App, snapshot: &Snapshot) -> Vec<(String, Role)> {
    let noun = app.view.title().to_lowercase();
    let mut lines = vec![(format!("No {noun} match what is asked for"), Role::Strong), (String::new(), Role::Text)];
    let mut causes = Vec::new();
    if !app.filter.search.is_empty() {
        causes.push(format!("the filter /{} (Esc drops it)", clean(app.filter_text.text(), app.options.glyphs)));
    }
    if !app.filter.severity.title().is_empty() {
        causes.push(format!("only {} are shown (f changes it)", app.filter.severity.title()));
    }
    if !app.filter.direction.title().is_empty() {
        causes.push(format!("only {} are shown (d changes it)", app.filter.direction.title()));
    }
    if let Some((name, _)) = &app.scope_from {
        causes.push(format!("only sockets of {name} that are flagged are listed (Esc goes back)"));
    }
    lines.extend(causes.into_iter().map(|cause| (format!("- {cause}"), Role::Text)));
    lines.push((String::new(), Role::Text));
    lines.push((watched(snapshot), Role::Faint));
    lines
}

fn healthy(app: &App, snapshot: &Snapshot) -> Vec<(String, Role)> {
    let check = app.options.glyphs.check();
    let limits = &snapshot.settings.limits;
    let title = match app.view {
        View::Sockets if snapshot.totals.sums.flagged == 0 => format!("{check} Nothing is leaking"),
        _ if snapshot.totals.sums.open == 0 => format!("{check} Nothing is leaking: no socket is open"),
        _ => format!("{check} Nothing to list here yet"),
    };
    let rules = format!(
        "A socket is flagged when it is stuck for {}, idle and unguarded for {}, or open for {}. \
         The t key changes that.",
        duration(limits.stall),
        duration(limits.idle),
        duration(limits.threshold)
    );
    let blank = || (String::new(), Role::Text);
    vec![(title, Role::Good), blank(), (watched(snapshot), Role::Text), blank(), (rules, Role::Faint)]
}

/// A sentence about what is watched.
fn watched(snapshot: &Snapshot) -> String {
    let sockets = format_counted(snapshot.totals.sums.open, "open socket");
    let span = format_duration(snapshot.window.seconds());
    let whom = whom(&snapshot.settings.filter);
    format!("Watching {whom}: {sockets}, for {span} so far, looking every {}.", duration(snapshot.settings.interval))
}

fn whom(filter: &Filter) -> String {
    let list = |words: Vec<String>| words.join(" or ");
    let text = |words: &[String]| list(words.iter().map(|word| clean(word, Glyphs::Ascii).into_owned()).collect());
    let parts = [
        ("process", list(filter.pids.iter().map(u32::to_string).collect())),
        ("name", text(&filter.comms)),
        ("port", list(filter.ports.iter().map(u16::to_string).collect())),
        ("peer", list(filter.peers.iter().map(Network::to_string).collect())),
        ("container", text(&filter.containers)),
        ("direction", list(filter.directions.iter().map(|direction| direction.name().to_owned()).collect())),
    ];
    let parts: Vec<String> =
        parts.into_iter().filter(|part| !part.1.is_empty()).map(|(kind, value)| format!("{kind} {value}")).collect();
    if parts.is_empty() { "every process of this host".to_owned() } else { parts.join(", ") }
}
