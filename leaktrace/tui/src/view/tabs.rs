//! The line of tabs, and the filters of the view that is shown.

use super::pen::Pen;
use crate::app::App;
use crate::app::msg::Flow;
use crate::rows::data::Data;
use crate::rows::view_kind::{Grouping, View};
use crate::short_numbers::{short_count, span};
use crate::text::{clean, width};
use crate::theme::Role;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

/// How a tab is written, by how much room there is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Full,
    Short,
}

fn count(app: &App, view: View) -> Option<u64> {
    let snapshot = &app.data.as_ref()?.snapshot;
    let count = match view {
        View::Callsites => snapshot.callsites.len(),
        View::Processes => snapshot.processes.len(),
        View::Peers if app.lists[view.index()].grouping == Grouping::Listener => snapshot.listeners.len(),
        View::Peers => snapshot.peers.len(),
        View::Sockets => snapshot.sockets.len(),
    };
    Some(count as u64)
}

fn label(app: &App, view: View, form: Form) -> String {
    let number = view.index() + 1;
    let title = if form == Form::Full { view.title() } else { view.short_title() };
    let shown = app.rows.len() as u64;
    match (form, count(app, view)) {
        (Form::Full, Some(all)) if view == app.view && shown != all => {
            format!(" {number} {title} {}/{} ", short_count(shown), short_count(all))
        }
        (Form::Full, Some(all)) => format!(" {number} {title} {} ", short_count(all)),
        _ => format!(" {number} {title} "),
    }
}

fn form(room: u16) -> Form {
    if room >= 76 { Form::Full } else { Form::Short }
}

/// The view whose tab is at `x`.
pub(crate) fn at(app: &App, area: Rect, x: u16) -> Option<View> {
    let mut start = usize::from(area.x);
    View::ALL.into_iter().find(|view| {
        let end = start + width(&label(app, *view, form(area.width)));
        let hit = (start..end).contains(&usize::from(x));
        start = end;
        hit
    })
}

/// What narrows the view, in words, the most important first.
fn chips(app: &App) -> Vec<(String, Role)> {
    let glyphs = app.options.glyphs;
    let mut chips = Vec::new();
    if app.flow == Flow::Paused {
        let seconds = |data: &Data| data.snapshot.window.seconds();
        let behind = app.held.as_ref().zip(app.data.as_ref()).map(|(held, shown)| seconds(held) - seconds(shown));
        let behind = behind.filter(|behind| *behind > 0.0).map(|behind| format!(", {} behind", span(behind)));
        chips.push((format!("PAUSED{}", behind.unwrap_or_default()), Role::Warning));
    }
    if !app.filter_text.text().is_empty() {
        chips.push((format!("/{}", clean(app.filter_text.text(), glyphs)), Role::Accent));
    }
    let filter = &app.filter;
    for text in [filter.severity.title(), filter.direction.title(), app.list().grouping.title()] {
        if !text.is_empty() {
            chips.push((text.to_owned(), Role::Accent));
        }
    }
    if let Some((name, _)) = &app.scope_from {
        chips.push((format!("of {name}"), Role::Accent));
    }
    chips
}

/// Draws it.
pub(crate) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let mut pen = Pen::new(app, buffer, area, 0);
    for view in View::ALL {
        let mut style = app.options.colour.style(if view == app.view { Role::Accent } else { Role::Faint });
        if view == app.view {
            style = style.add_modifier(Modifier::REVERSED);
        }
        pen.styled(&label(app, view, form(area.width)), style);
    }
    pen.skip(1);
    for (text, role) in chips(app) {
        pen.put(&text, role).skip(2);
    }
}
