//! The last line: a notice, the filter while it is typed, or the keys that have a meaning now.

use super::pen::Pen;
use crate::app::App;
use crate::app::keys::{Action, Context, bindings};
use crate::app::mode::{Mode, Panel};
use crate::app::msg::NoticeKind;
use crate::text::{clean, fit_end, width};
use crate::theme::Role;
use leaktrace_model::{Severity, format_counted};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

/// A key and what it does, as written in the footer.
struct Hint {
    key: String,
    word: &'static str,
    action: Action,
}

impl Hint {
    fn cells(&self) -> usize {
        width(&self.key) + 1 + self.word.len() + 2
    }
}

/// The keys that have a meaning now, as many as fit; help and quit are always among them.
fn hints(app: &App, room: usize) -> Vec<Hint> {
    let context = app.mode.context(app.panel);
    let replay =
        (matches!(context, Context::Browse | Context::Detail) && app.replay.is_some()).then_some(Context::Replay);
    let rows = replay.into_iter().chain([context]).flat_map(bindings).filter(|row| !row.short.is_empty());
    let mut all: Vec<Hint> = Vec::new();
    for row in rows {
        let Some(key) = row.keys.first().map(|key| key.sign(app.options.glyphs)) else { continue };
        match all.last_mut() {
            Some(before) if before.word == row.short => {
                // Names of keys need a separator, single signs do not.
                before.key.push_str(if width(&key) > 1 { "/" } else { "" });
                before.key.push_str(&key);
            }
            _ => all.push(Hint { key, word: row.short, action: row.action }),
        }
    }
    let kept = |hint: &Hint| matches!(hint.action, Action::Help | Action::Quit | Action::Cancel);
    let mut left = room.saturating_sub(all.iter().filter(|hint| kept(hint)).map(Hint::cells).sum());
    let mut full = false;
    all.into_iter()
        .filter(|hint| {
            if kept(hint) {
                return true;
            }
            full |= hint.cells() > left;
            if !full {
                left -= hint.cells();
            }
            !full
        })
        .collect()
}

/// The action whose hint is at `x`.
pub(crate) fn at(app: &App, area: Rect, x: u16) -> Option<Action> {
    let mut start = usize::from(area.x);
    hints(app, usize::from(area.width)).into_iter().find_map(|hint| {
        let end = start + hint.cells();
        let hit = (start..end).contains(&usize::from(x));
        start = end;
        hit.then_some(hint.action)
    })
}

/// Draws it; the place of the cursor where text is typed.
pub(crate) fn draw(app: &App, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let mut pen = Pen::new(app, buffer, area, 0);
    if matches!(app.mode, Mode::Filter) {
        return Some(filter(app, &mut pen, area));
    }
    if let Some(notice) = &app.notice {
        let (sign, role) = match notice.kind {
            NoticeKind::Done => ("", Role::Strong),
            NoticeKind::Failed => ("! ", Role::Bad(Severity::Leak)),
        };
        pen.put(sign, role).put(&clean(&notice.text, app.options.glyphs), role);
        return None;
    }
    for hint in hints(app, usize::from(area.width)) {
        pen.put(&hint.key, Role::Accent).skip(1).put(hint.word, Role::Faint).skip(2);
    }
    None
}

fn filter(app: &App, pen: &mut Pen<'_>, area: Rect) -> Position {
    let glyphs = app.options.glyphs;
    let found = format_counted(app.rows.len() as u64, "row");
    if pen.left() >= 60 {
        pen.at_right("Enter keep  Esc clear", Role::Faint);
    }
    pen.at_right(&found, if app.rows.is_empty() { Role::Warning } else { Role::Text });
    pen.put("/", Role::Accent);
    let room = pen.left().saturating_sub(1);
    let before = fit_end(clean(app.filter_text.before_cursor(), glyphs), room, glyphs);
    let cursor = pen.x() + width(&before) as u16;
    pen.put(&before, Role::Strong);
    let after = app.filter_text.text().get(app.filter_text.before_cursor().len()..).unwrap_or_default();
    pen.put(&clean(after, glyphs), Role::Strong);
    if app.filter_text.text().is_empty() && app.panel == Panel::Closed {
        pen.skip(1).put("process, symbol, peer, container, verdict; !word excludes", Role::Faint);
    }
    Position { x: cursor.min(area.right().saturating_sub(1)), y: area.y }
}
