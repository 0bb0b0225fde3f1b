//! What keys do in dialogs and pages.

use super::say::say;
use super::scroll::scroll;
use super::{export, kill, list};
use crate::app::App;
use crate::app::input::Edit;
use crate::app::keys::Action;
use crate::app::mode::Mode;
use crate::app::msg::{Effect, NoticeKind};
use crate::rows::columns::Tabular;
use crate::rows::table::{Table, with_table};
use crossterm::event::KeyEvent;
use leaktrace_model::Limits;
use std::time::Duration;

/// Spans that thresholds step through, in milliseconds.
const LADDER: [u64; 24] = [
    500, 1000, 2000, 3000, 5000, 10_000, 15_000, 20_000, 30_000, 45_000, 60_000, 90_000, 120_000, 180_000, 300_000,
    600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 28_800_000, 43_200_000, 86_400_000,
];

/// What an action does in the dialog or page that has the keyboard.
pub(crate) fn act(app: &mut App, action: Action) -> Option<Effect> {
    match &mut app.mode {
        Mode::Browse => {}
        Mode::Filter => filter(app, action),
        Mode::Page { scroll: lines, .. } => match action {
            Action::Cancel => app.mode = Mode::Browse,
            _ => scroll(lines, action),
        },
        Mode::Sort { .. } => sort(app, action),
        Mode::Thresholds { entry } => {
            let chosen = *entry;
            match action {
                Action::Up => *entry = entry.saturating_sub(1),
                Action::Down => *entry = (*entry + 1).min(2),
                Action::Less | Action::More => return change_threshold(app, chosen, action),
                Action::Reset => return app.initial.and_then(|initial| set_limits(app, initial)),
                _ => app.mode = Mode::Browse,
            }
        }
        Mode::Export(_) => return export::act(app, action),
        Mode::Confirm(confirm) => match action {
            Action::Yes => return kill::confirmed(app),
            Action::No => {
                app.mode = Mode::Browse;
                say(app, NoticeKind::Done, "Nothing was closed");
            }
            _ => scroll(&mut confirm.scroll, action),
        },
    }
    None
}

fn filter(app: &mut App, action: Action) {
    let position = app.list().position;
    match action {
        Action::Up => list::go(app, position.saturating_sub(1)),
        Action::Down => list::go(app, position + 1),
        Action::Cancel => {
            app.mode = Mode::Browse;
            app.filter_text.clear();
            list::filter_changed(app);
        }
        _ => app.mode = Mode::Browse,
    }
}

fn sort(app: &mut App, action: Action) {
    let columns = app.table().map_or(0, |table| with_table!(table, table => count_columns(&table)));
    let Mode::Sort { entry } = &mut app.mode else { return };
    match action {
        Action::Up => *entry = entry.saturating_sub(1),
        Action::Down => *entry = (*entry + 1).min(columns),
        Action::First => *entry = 0,
        Action::Last => *entry = columns,
        Action::Invert => list::invert(app),
        Action::Accept => {
            let column = entry.checked_sub(1);
            app.mode = Mode::Browse;
            list::sort_by(app, column);
        }
        _ => app.mode = Mode::Browse,
    }
}

fn count_columns<T: Tabular>(_: &Table<'_, T>) -> usize {
    T::columns().len()
}

/// A key without a meaning of its own: text, where text is typed.
pub(crate) fn typed(app: &mut App, key: &KeyEvent) {
    match &mut app.mode {
        Mode::Filter if app.filter_text.edit(key) == Edit::Changed => list::filter_changed(app),
        Mode::Export(export) => drop(export.path.edit(key)),
        _ => {}
    }
}

/// Text that was pasted. It never acts as keys.
pub(crate) fn pasted(app: &mut App, text: &str) {
    match &mut app.mode {
        Mode::Filter => {
            app.filter_text.insert(text);
            list::filter_changed(app);
        }
        Mode::Export(export) => export.path.insert(text),
        _ => {}
    }
}

/// Opens the thresholds, once there are some.
pub(crate) fn open_thresholds(app: &mut App) {
    match app.limits() {
        Some(_) => app.mode = Mode::Thresholds { entry: 1 },
        None => say(app, NoticeKind::Failed, "Nothing has been sampled yet, so there is nothing to judge"),
    }
}

fn change_threshold(app: &mut App, entry: usize, action: Action) -> Option<Effect> {
    let mut limits = app.limits()?;
    let value = match entry {
        0 => &mut limits.threshold,
        1 => &mut limits.stall,
        _ => &mut limits.idle,
    };
    let mut steps = LADDER.into_iter().map(Duration::from_millis);
    let next = match action {
        Action::More => steps.find(|step| *step > *value),
        _ => steps.rfind(|step| *step < *value),
    };
    *value = next.unwrap_or(*value);
    set_limits(app, limits)
}

fn set_limits(app: &mut App, limits: Limits) -> Option<Effect> {
    if app.limits() == Some(limits) {
        return None;
    }
    app.chosen = Some(limits);
    Some(Effect::SetThresholds(limits))
}
