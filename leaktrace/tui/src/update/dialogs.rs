//! What keys do in dialogs and pages.

use super::{export, kill, list, say, scroll};
use crate::{
    app::App,
    columns::Tabular,
    input::Edit,
    keys::Action,
    mode::Mode,
    msg::{Effect, NoticeKind, Thresholds},
    table::{Table, with_table},
};
use crossterm::event::KeyEvent;

/// Spans that thresholds step through, in seconds.
const LADDER: [f64; 24] = [
    0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1800.0,
    3600.0, 7200.0, 14_400.0, 28_800.0, 43_200.0, 86_400.0,
];

/// What an action does in the dialog or page that has the keyboard.
pub fn act(app: &mut App, action: Action) -> Option<Effect> {
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
                Action::Reset => return app.initial.and_then(|initial| set_thresholds(app, initial)),
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

/// A key that means nothing by itself: text, where text is typed.
pub fn typed(app: &mut App, key: &KeyEvent) {
    match &mut app.mode {
        Mode::Filter if app.filter_text.edit(key) == Edit::Changed => list::filter_changed(app),
        Mode::Export(export) => drop(export.path.edit(key)),
        _ => {}
    }
}

/// Text that was pasted. It never acts as keys.
pub fn pasted(app: &mut App, text: &str) {
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
pub fn open_thresholds(app: &mut App) {
    match app.thresholds() {
        Some(_) => app.mode = Mode::Thresholds { entry: 1 },
        None => say(app, NoticeKind::Failed, "Nothing has been sampled yet, so there is nothing to judge"),
    }
}

fn change_threshold(app: &mut App, entry: usize, action: Action) -> Option<Effect> {
    let mut thresholds = app.thresholds()?;
    let value = match entry {
        0 => &mut thresholds.threshold_s,
        1 => &mut thresholds.stall_s,
        _ => &mut thresholds.idle_s,
    };
    let next = match action {
        Action::More => LADDER.into_iter().find(|step| *step > *value),
        _ => LADDER.into_iter().rev().find(|step| *step < *value),
    };
    *value = next.unwrap_or(*value);
    set_thresholds(app, thresholds)
}

fn set_thresholds(app: &mut App, thresholds: Thresholds) -> Option<Effect> {
    if app.thresholds() == Some(thresholds) {
        return None;
    }
    app.chosen = Some(thresholds);
    Some(Effect::SetThresholds(thresholds))
}
