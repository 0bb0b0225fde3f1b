//! The head of the screen: host, counts, severities, and the health of the tracer.

use super::curve;
use super::pen::Pen;
use super::severities::{self, Words};
use crate::app::App;
use crate::short_numbers::{duration, rate, short_count, time_of_day};
use crate::signs::Signs as _;
use crate::text::{clean, width};
use crate::theme::Role;
use leaktrace_model::{Snapshot, format_count, format_counted, format_duration, format_size};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Draws it in one to four lines.
pub(crate) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let Some(snapshot) = app.data.as_ref().map(|data| &*data.snapshot) else {
        Pen::new(app, buffer, area, 0)
            .put("leaktrace", Role::Strong)
            .put("  waiting for the first sample", Role::Faint);
        return;
    };
    match area.height {
        0 => {}
        1 => tiny(app, snapshot, &mut Pen::new(app, buffer, area, 0)),
        2 => {
            flow(app, snapshot, &mut Pen::new(app, buffer, area, 0));
            let mut pen = Pen::new(app, buffer, area, 1);
            severities::write(app, &mut pen, Words::Long);
            warning(app, snapshot, &mut pen);
        }
        _ => {
            place(app, snapshot, &mut Pen::new(app, buffer, area, 0));
            flow(app, snapshot, &mut Pen::new(app, buffer, area, 1));
            let mut pen = Pen::new(app, buffer, area, 2);
            thresholds(app, &mut pen);
            severities::write(app, &mut pen, Words::Long);
            growing(snapshot, &mut pen);
            warning(app, snapshot, &mut Pen::new(app, buffer, area, 3));
        }
    }
}

/// The most important facts in one line.
fn tiny(app: &App, snapshot: &Snapshot, pen: &mut Pen<'_>) {
    if snapshot.health.lost.any() {
        pen.at_right("LOST", Role::Warning);
    }
    if !snapshot.health.degraded.is_empty() {
        pen.at_right("DEGR", Role::Warning);
    }
    pen.put("open ", Role::Faint).put(&short_count(snapshot.totals.sums.open), Role::Strong).skip(1);
    severities::write(app, pen, Words::Short);
    rates(app, pen);
}

/// Host, kernel, hooks; time and own cost.
fn place(app: &App, snapshot: &Snapshot, pen: &mut Pen<'_>) {
    let glyphs = app.options.glyphs;
    let (host, health) = (&snapshot.host, &snapshot.health);
    pen.at_right(&time_of_day(snapshot.window.end), Role::Text);
    if let Some(rss) = health.rss_bytes {
        pen.at_right(&format_size(rss), Role::Faint);
    }
    if let Some(cpu) = app.rates.cpu {
        pen.at_right(&format!("self {:.1}%", cpu * 100.0), Role::Faint);
    }
    pen.put("leaktrace", Role::Strong).skip(1);
    pen.put(&clean(host.hostname.as_deref().unwrap_or(glyphs.absent()), glyphs), Role::Accent);
    let kernel = host.kernel.as_deref().map(|kernel| format!("Linux {}", clean(kernel, glyphs)));
    let every = format!("every {}", duration(snapshot.settings.interval));
    for text in kernel.into_iter().chain([health.hooks.name().to_owned(), every]) {
        if !text.is_empty() && pen.left() >= width(&text) + 3 {
            pen.put(glyphs.dot(), Role::Faint).put(&text, Role::Text);
        }
    }
}

/// Open sockets over time, and what they cost.
fn flow(app: &App, snapshot: &Snapshot, pen: &mut Pen<'_>) {
    let totals = &snapshot.totals.sums;
    let memory = match snapshot.health.tcp_memory_bytes {
        Some(host) => format!("TCP memory {}", format_size(host)),
        None => format!("memory {}", format_size(totals.memory_bytes)),
    };
    if pen.left() >= 76 {
        pen.at_right(&memory, Role::Text);
        pen.at_right(&format!("unread {} ", format_size(totals.rx_queue_bytes)), Role::Text);
    }
    pen.put("open ", Role::Faint).put(&format_count(totals.open), Role::Strong).skip(1);
    rates(app, pen);
    let covered = format_duration(app.history.seconds());
    let room = pen.left().saturating_sub(covered.len() + 3).min(64);
    if room >= 8 && app.history.seconds() > 0.0 {
        let counts = app.history.total().columns(room);
        pen.skip(1).put(&curve::line(&counts, app.options.glyphs), Role::Curve);
        pen.put(" ", Role::Text).put(&covered, Role::Faint);
    }
}

fn rates(app: &App, pen: &mut Pen<'_>) {
    let (Some(opened), Some(closed)) = (app.rates.opened, app.rates.closed) else { return };
    pen.put(&format!("+{}/s ", rate(opened)), Role::Text).put(&format!("-{}/s ", rate(closed)), Role::Text);
}

fn growing(snapshot: &Snapshot, pen: &mut Pen<'_>) {
    let count = snapshot.callsites.iter().filter(|site| site.is_growing()).count() as u64;
    if count > 0 {
        pen.put(&format!("{} growing", format_counted(count, "call site")), Role::Warning);
    }
}

fn thresholds(app: &App, pen: &mut Pen<'_>) {
    let Some(now) = app.limits().filter(|_| pen.left() >= 96) else { return };
    let text =
        format!("stall {}  idle {}  long-lived {}", duration(now.stall), duration(now.idle), duration(now.threshold));
    pen.at_right(&text, Role::Faint);
}

/// Losses and degradations.
fn warning(app: &App, snapshot: &Snapshot, pen: &mut Pen<'_>) {
    let lost = &snapshot.health.lost;
    let counts = [
        (lost.sockets_unattributed, "socket"),
        (lost.stacks, "stack"),
        (lost.samples, "sample"),
        (lost.captures, "stack copy"),
    ];
    let parts: Vec<String> = counts.into_iter().filter(|c| c.0 > 0).map(|(n, noun)| format_counted(n, noun)).collect();
    if !parts.is_empty() {
        pen.put(&format!("! lost {}  ", parts.join(", ")), Role::Warning);
    }
    let glyphs = app.options.glyphs;
    if let Some(first) = snapshot.health.degraded.first() {
        let more = snapshot.health.degraded.len() - 1;
        if more > 0 {
            pen.at_right(&format!("+{more} more, h"), Role::Faint);
        }
        let text = format!("! {}: {}", clean(&first.feature(), glyphs), clean(&first.reason(), glyphs));
        pen.put(&text, Role::Warning);
    }
}
