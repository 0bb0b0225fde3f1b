//! The state of a replay: running or paused, speed, position.

use super::pen::Pen;
use crate::app::App;
use crate::app::msg::Flow;
use crate::short_numbers::time_of_day;
use crate::signs::Signs as _;
use crate::text::width;
use crate::theme::Role;
use leaktrace_model::format_count;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// The text before the bar.
fn lead(app: &App) -> String {
    let Some(replay) = &app.replay else { return String::new() };
    let glyphs = app.options.glyphs;
    let sign = if replay.flow == Flow::Running { glyphs.play() } else { glyphs.pause() };
    let speed = if replay.speed >= 1.0 { format!("{:.0}", replay.speed) } else { format!("{}", replay.speed) };
    let time = app.data.as_ref().map(|data| time_of_day(data.snapshot.window.end)).unwrap_or_default();
    format!("{sign} {speed}{} {time} ", glyphs.times())
}

/// The text behind it.
fn tail(app: &App) -> String {
    let Some(replay) = &app.replay else { return String::new() };
    let now = format_count(replay.index.saturating_add(1));
    match replay.count {
        Some(count) => format!(" {now}/{}", format_count(count)),
        None => format!(" {now}"),
    }
}

fn bar(app: &App, area: Rect) -> Rect {
    let (lead, tail) = (width(&lead(app)) as u16, width(&tail(app)) as u16);
    Rect { x: area.x + lead.min(area.width), width: area.width.saturating_sub(lead + tail), ..area }
}

/// The sample that a click at `x` asks for.
pub(crate) fn at(app: &App, area: Rect, x: u16) -> Option<u64> {
    let bar = bar(app, area);
    let count = app.replay.as_ref()?.count?;
    let last = count.saturating_sub(1);
    let end = bar.width.saturating_sub(1).max(1);
    let share = f64::from(x.saturating_sub(bar.x).min(end)) / f64::from(end);
    (bar.x..bar.right()).contains(&x).then_some(((share * last as f64).round() as u64).min(last))
}

/// Draws it in one line, while a recording is shown.
pub(crate) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let Some(replay) = &app.replay else { return };
    let glyphs = app.options.glyphs;
    let cells = usize::from(bar(app, area).width);
    let mut pen = Pen::new(app, buffer, area, 0);
    pen.put(&lead(app), Role::Strong);
    if let Some(count) = replay.count.filter(|_| cells > 1) {
        let share = replay.index as f64 / count.saturating_sub(1).max(1) as f64;
        let knob = ((share.min(1.0) * (cells - 1) as f64).round() as usize).min(cells - 1);
        pen.put(&glyphs.done().repeat(knob), Role::Accent).put(glyphs.knob(), Role::Accent);
        pen.put(&glyphs.rule().repeat(cells - 1 - knob), Role::Faint);
    } else {
        pen.skip(cells as u16);
    }
    pen.put(&tail(app), Role::Text);
}
