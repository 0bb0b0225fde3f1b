//! The page about the tracer itself: losses, degradations, cost.

use super::dialog;
use crate::app::App;
use crate::short_numbers::duration;
use crate::signs::Signs as _;
use crate::text::{clean, wrap};
use crate::theme::Role;
use leaktrace_model::{Snapshot, format_count, format_counted, format_duration, format_size, format_size_change};
use ratatui::buffer::Buffer;
use std::time::Duration;

/// Draws it.
pub(crate) fn draw(app: &App, scroll: usize, buffer: &mut Buffer) {
    let cells = usize::from(app.size.0.saturating_sub(4)).clamp(1, 84);
    let lines: Vec<(String, Role)> = match app.data.as_ref().map(|data| &*data.snapshot) {
        None => vec![("Nothing has been sampled yet".to_owned(), Role::Text)],
        Some(snapshot) => paragraphs(app, snapshot),
    }
    .into_iter()
    .flat_map(|(text, role)| wrap(&text, cells).into_iter().map(move |line| (line, role)))
    .collect();
    let area = dialog::open(app, "Health of leaktrace", cells as u16, lines.len() as u16, buffer);
    dialog::page(app, &lines, scroll, area, buffer);
}

fn paragraphs(app: &App, snapshot: &Snapshot) -> Vec<(String, Role)> {
    let glyphs = app.options.glyphs;
    let (health, lost) = (&snapshot.health, &snapshot.health.lost);
    let absent = || glyphs.absent().to_owned();
    let span = |span: Option<Duration>| span.map_or_else(absent, duration);
    let mut lines = vec![
        (format!("hooks         {}", health.hooks.name()), Role::Text),
        (
            format!(
                "watching for  {}, every {}",
                format_duration(snapshot.window.seconds()),
                duration(snapshot.settings.interval)
            ),
            Role::Text,
        ),
        (
            format!("processor     {}", health.cpu.map_or_else(absent, |cpu| format!("{} so far", duration(cpu)))),
            Role::Text,
        ),
        (format!("last pass     {}, of holders {}", span(health.pass_cpu), span(health.holders_pass_cpu)), Role::Text),
        (format!("memory        {}", health.rss_bytes.map_or_else(absent, format_size)), Role::Text),
        (format!("TCP memory    {}", health.tcp_memory_bytes.map_or_else(absent, format_size)), Role::Text),
        (format!("  unaccounted {}", health.tcp_memory_gap_bytes.map_or_else(absent, format_size_change)), Role::Text),
        (format!("ignored       {}", format_counted(health.ignored, "socket")), Role::Text),
        (format!("resolved      {} in this time", format_counted(health.resolved, "verdict")), Role::Text),
        (String::new(), Role::Text),
        ("Lost since the start".to_owned(), Role::Strong),
    ];
    let losses = [
        (lost.sockets_unattributed, "sockets that found no room in the table (--max-sockets makes room)"),
        (lost.stacks, "stacks that could not be kept"),
        (lost.samples, "samples that were not taken or came damaged"),
        (lost.captures, "stack copies for unwinding that found no room"),
    ];
    for (count, what) in losses {
        let role = if count > 0 { Role::Warning } else { Role::Faint };
        lines.push((format!("{:>7} {what}", format_count(count)), role));
    }
    lines.push((String::new(), Role::Text));
    lines.push(("Works less well than it could".to_owned(), Role::Strong));
    if health.degraded.is_empty() {
        lines.push((format!("{} nothing", glyphs.check()), Role::Good));
    }
    for degradation in &health.degraded {
        let text = format!("! {}: {}", clean(&degradation.feature(), glyphs), clean(&degradation.reason(), glyphs));
        lines.push((text, Role::Warning));
    }
    lines
}
