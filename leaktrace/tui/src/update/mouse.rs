//! What the mouse does: a click selects or sorts, a second click opens, the wheel moves.

use super::list;
use crate::app::App;
use crate::app::keys::Action;
use crate::app::mode::{Mode, Panel};
use crate::app::msg::Effect;
use crate::layout::{areas, places};
use crate::view::{footer, replay, tabs};
use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

/// Rows that one notch of the wheel moves.
const NOTCH: usize = 3;

/// The meaning of a click.
pub(crate) enum Clicked {
    /// The same as that of a key.
    Action(Action),
    /// An effect.
    Effect(Effect),
}

/// Applies a mouse event.
pub(crate) fn used(app: &mut App, event: MouseEvent) -> Option<Clicked> {
    let at = Position { x: event.column, y: event.row };
    match event.kind {
        MouseEventKind::ScrollDown => wheel(app, at, list::Seek::Forwards),
        MouseEventKind::ScrollUp => wheel(app, at, list::Seek::Backwards),
        MouseEventKind::Down(MouseButton::Left) if matches!(app.mode, Mode::Browse) => return click(app, at),
        _ => {}
    }
    None
}

fn wheel(app: &mut App, at: Position, way: list::Seek) {
    let moved = |n: usize| match way {
        list::Seek::Forwards => n.saturating_add(NOTCH),
        list::Seek::Backwards => n.saturating_sub(NOTCH),
    };
    let over_detail = areas(app).detail.contains(at);
    match &mut app.mode {
        Mode::Page { scroll, .. } => *scroll = moved(*scroll),
        Mode::Confirm(confirm) => confirm.scroll = moved(confirm.scroll),
        Mode::Browse | Mode::Filter if over_detail => app.detail_scroll = moved(app.detail_scroll),
        Mode::Browse | Mode::Filter => list::go(app, moved(app.list().position)),
        Mode::Sort { .. } | Mode::Thresholds { .. } | Mode::Export(_) => {}
    }
}

fn click(app: &mut App, at: Position) -> Option<Clicked> {
    app.notice = None;
    let areas = areas(app);
    if areas.tabs.contains(at) {
        if let Some(view) = tabs::at(app, areas.tabs, at.x) {
            list::show(app, view);
        }
    } else if areas.footer.contains(at) {
        return footer::at(app, areas.footer, at.x).map(Clicked::Action);
    } else if areas.replay.contains(at) {
        let index = replay::at(app, areas.replay, at.x)?;
        let replay = app.replay.as_mut()?;
        replay.index = index;
        return Some(Clicked::Effect(Effect::ReplaySeek { index, flow: replay.flow }));
    } else if areas.heading.contains(at) {
        let hit = |x: u16, width: u16| (x..=x.saturating_add(width)).contains(&at.x);
        let place = places(app, areas.body.width).into_iter().find(|place| hit(place.x, place.width));
        if let Some(place) = place {
            list::sort_by(app, Some(place.column));
        }
    } else if areas.body.contains(at) {
        return click_row(app, app.list().offset + usize::from(at.y - areas.body.y));
    } else if areas.scrollbar.contains(at) {
        let along = usize::from(at.y - areas.scrollbar.y) * app.rows.len();
        list::go(app, along / usize::from(areas.scrollbar.height.max(1)));
    }
    None
}

fn click_row(app: &mut App, position: usize) -> Option<Clicked> {
    if position >= app.rows.len() {
        return None;
    }
    let again = app.list().selected.is_some() && app.list().position == position;
    list::go(app, position);
    (again && app.panel == Panel::Closed).then_some(Clicked::Action(Action::Open))
}
