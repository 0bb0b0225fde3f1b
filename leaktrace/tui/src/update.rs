//! What every message does to the live view. Pure: what should be done outside returns as an effect.

mod dialogs;
mod export;
mod kill;
mod list;
mod mouse;
mod play;
mod say;
mod scroll;
mod take;
pub(crate) mod wants;

use self::mouse::Clicked;
use self::say::say;
use self::scroll::scroll;
use crate::app::App;
use crate::app::keys::{self, Action, Context};
use crate::app::mode::{Mode, Page, Panel};
use crate::app::msg::{Effect, MouseCapture, Msg, NoticeKind};
use crate::frames::Folding;
use crate::layout::{areas, fits_both};
use crate::rows::data::Data;
use crate::rows::names::Naming;
use crate::rows::view_kind::View;
use crossterm::event::{KeyEvent, KeyEventKind};

/// Applies one message.
pub fn update(app: &mut App, msg: Msg) -> Option<Effect> {
    let mut effect = None;
    match msg {
        Msg::Key(key) if key.kind == KeyEventKind::Release => {}
        Msg::Key(key) => effect = press(app, &key),
        Msg::Mouse(event) => {
            effect = match mouse::used(app, event) {
                Some(Clicked::Action(action)) => act(app, action),
                Some(Clicked::Effect(effect)) => Some(effect),
                None => None,
            };
        }
        Msg::Paste(text) => dialogs::pasted(app, &text),
        Msg::Resize(width, height) => resize(app, width, height),
        Msg::Snapshot(snapshot, index) => take::snapshot(app, Data { snapshot, index }),
        Msg::Update(update) => take::other(app, update),
    }
    list::settle(app);
    effect
}

fn resize(app: &mut App, width: u16, height: u16) {
    app.size = (width, height);
    if app.panel == Panel::Split && !fits_both(app) {
        app.panel = Panel::Full;
    }
}

fn press(app: &mut App, key: &KeyEvent) -> Option<Effect> {
    app.notice = None;
    let context = app.mode.context(app.panel);
    let main = matches!(context, Context::Browse | Context::Detail);
    let of_replay = || if main && app.replay.is_some() { keys::lookup(Context::Replay, key) } else { None };
    match keys::lookup(context, key).or_else(of_replay) {
        Some(Action::Quit) => Some(Effect::Quit),
        Some(action) if main => act(app, action),
        Some(action) => dialogs::act(app, action),
        None => {
            dialogs::typed(app, key);
            None
        }
    }
}

/// What an action does while table or detail has the keyboard.
fn act(app: &mut App, action: Action) -> Option<Effect> {
    let position = app.list().position;
    let page = usize::from(areas(app).body.height.max(2)) - 1;
    match action {
        Action::Quit => return Some(Effect::Quit),
        Action::Redraw => return Some(Effect::Redraw),
        Action::Suspend => return Some(Effect::Suspend),
        Action::Pause => return play::pause(app),
        Action::Mouse => return Some(toggle_mouse(app)),
        Action::StepBack | Action::StepForward | Action::JumpBack | Action::JumpForward => {
            return play::step(app, action);
        }
        Action::Slower | Action::Faster => return play::change_speed(app, action),
        Action::Help => app.mode = Mode::Page { page: Page::Help, scroll: 0 },
        Action::Health => app.mode = Mode::Page { page: Page::Health, scroll: 0 },
        Action::Show(view) => list::show(app, view),
        Action::NextView => list::show(app, View::ALL[(app.view.index() + 1) % View::ALL.len()]),
        Action::PreviousView => list::show(app, View::ALL[(app.view.index() + 3) % View::ALL.len()]),
        Action::Open => open(app),
        Action::Back => back(app),
        Action::Sockets => list::enter_sockets(app),
        Action::NextFlagged => list::jump(app, list::Seek::Forwards),
        Action::PreviousFlagged => list::jump(app, list::Seek::Backwards),
        Action::SortLeft => list::sort_beside(app, list::Seek::Backwards),
        Action::SortRight => list::sort_beside(app, list::Seek::Forwards),
        Action::Invert => list::invert(app),
        Action::SortMenu => app.mode = Mode::Sort { entry: app.list().sort.map_or(0, |column| column + 1) },
        Action::Filter => app.mode = Mode::Filter,
        Action::Severity => {
            app.filter.severity = app.filter.severity.next();
            list::rebuild(app);
        }
        Action::Direction => {
            app.filter.direction = app.filter.direction.next();
            list::rebuild(app);
        }
        Action::Group => list::group(app),
        Action::Thresholds => dialogs::open_thresholds(app),
        Action::Export => export::open(app),
        Action::Kill => kill::ask(app),
        Action::Fold => {
            app.folding = match app.folding {
                Folding::Folded => Folding::Unfolded,
                Folding::Unfolded => Folding::Folded,
            };
        }
        Action::Names => toggle_names(app),
        Action::PreviousRow => list::go(app, position.saturating_sub(1)),
        Action::NextRow => list::go(app, position + 1),
        _ if app.panel == Panel::Full => scroll(&mut app.detail_scroll, action),
        Action::Up => list::go(app, position.saturating_sub(1)),
        Action::Down => list::go(app, position + 1),
        Action::PageUp => list::go(app, position.saturating_sub(page)),
        Action::PageDown => list::go(app, position + page),
        Action::First => list::follow_top(app),
        Action::Last => list::go(app, usize::MAX),
        Action::Accept | Action::Cancel | Action::Yes | Action::No => {}
        Action::Less | Action::More | Action::Reset => {}
    }
    None
}

fn open(app: &mut App) {
    if app.rows.is_empty() {
        return;
    }
    app.panel = match app.panel {
        Panel::Closed if fits_both(app) => Panel::Split,
        _ => Panel::Full,
    };
    // From now on the cursor stays on this row, also if it is the top row.
    list::go(app, app.list().position);
    app.detail_scroll = 0;
}

/// One step back: the detail, the filter, the sockets of one row.
fn back(app: &mut App) {
    match app.panel {
        Panel::Full if fits_both(app) => app.panel = Panel::Split,
        Panel::Full | Panel::Split => app.panel = Panel::Closed,
        Panel::Closed if !app.filter_text.text().is_empty() => {
            app.filter_text.clear();
            list::filter_changed(app);
        }
        Panel::Closed => list::leave_sockets(app),
    }
    app.detail_scroll = 0;
}

fn toggle_names(app: &mut App) {
    let (naming, text) = match app.names.naming {
        Naming::Off => (Naming::On, "Names of the peers on the screen are looked up now; R stops it"),
        Naming::On => (Naming::Off, "Names of peers are not looked up any more"),
    };
    app.names.naming = naming;
    say(app, NoticeKind::Done, text);
}

fn toggle_mouse(app: &mut App) -> Effect {
    let (mouse, text) = match app.mouse {
        MouseCapture::Captured => (MouseCapture::Released, "The mouse selects text now; m takes it back"),
        MouseCapture::Released => (MouseCapture::Captured, "The mouse selects rows now; m leaves it to the terminal"),
    };
    app.mouse = mouse;
    say(app, NoticeKind::Done, text);
    Effect::CaptureMouse(mouse)
}
