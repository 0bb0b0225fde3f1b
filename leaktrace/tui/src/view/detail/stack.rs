//! The stack of a call site, leaf first, with file and line.

use super::lines::{Line, Lines, line, wrapped};
use crate::app::App;
use crate::frames;
use crate::rows::table::AnyTable;
use crate::signs::Signs as _;
use crate::text::{clean, fit, fit_end, width};
use crate::theme::Role;
use leaktrace_model::{Callsite, Frame, Glyphs, StackQuality};
use leaktrace_output::{base_name, frame_name, is_library};

/// The stack of the row, or of the call site that opened the socket.
pub(crate) fn of_row(app: &App, cells: usize) -> Lines {
    let Some((at, table)) = app.selected_row().zip(app.table()) else { return Lines::new() };
    match table {
        AnyTable::Callsites(table) if table.extras.is_none() => {
            table.items.get(at).map(|site| stack(app, site, cells)).unwrap_or_default()
        }
        AnyTable::Sockets(table) => {
            let id = table.items.get(at).and_then(|socket| socket.callsite);
            let site = id.and_then(|id| table.lens.callsite(id));
            site.map(|site| stack(app, site, cells)).unwrap_or_default()
        }
        _ => Lines::new(),
    }
}

fn stack(app: &App, site: &Callsite, cells: usize) -> Lines {
    let glyphs = app.options.glyphs;
    let quality = match site.stack_quality {
        StackQuality::Complete => "",
        StackQuality::Truncated => ", not complete",
        StackQuality::Missing => " unknown",
    };
    let mut lines = vec![line(format!("Stack{quality}"), Role::Strong)];
    if let Some(reason) = &site.stack_reason {
        lines.extend(wrapped(&clean(&reason.to_string(), glyphs), 2, cells, Role::Warning));
    }
    for entry in frames::lines(&site.stack, app.folding) {
        match entry {
            frames::Line::Folded(count) => {
                lines.push(line(format!("     {count} frames of libraries{}", glyphs.cut()), Role::Faint));
            }
            frames::Line::Frame(nth, frame) => lines.extend(frame_lines(nth, frame, cells, glyphs)),
        }
    }
    lines
}

fn frame_lines(nth: usize, frame: &Frame, cells: usize, glyphs: Glyphs) -> Vec<Line> {
    let role = match frame.symbol {
        _ if is_library(frame) => Role::Faint,
        Some(_) => Role::Strong,
        None => Role::Text,
    };
    let number = format!("{nth:>3}  ");
    let mut name = clean(&frame_name(frame), glyphs).into_owned();
    if frame.inlined {
        name.push_str(" (inlined)");
    }
    let place = place(frame, glyphs);
    let room = cells.saturating_sub(number.len());
    if place.is_empty() || width(&name) + 2 + width(&place) <= room {
        let name = fit(name, room, glyphs).into_owned();
        return vec![vec![(number, Role::Faint), (name, role), ("  ".to_owned(), role), (place, Role::Faint)]];
    }
    // Both do not fit on one line: the name is cut at its end, the place below it at its beginning.
    let name = fit(name, room, glyphs).into_owned();
    let place = fit_end(place, room.saturating_sub(2), glyphs).into_owned();
    vec![vec![(number, Role::Faint), (name, role)], vec![("       ".to_owned(), role), (place, Role::Faint)]]
}

/// `src/pool.rs:88`, else the module of a function. A frame without a function has its module in its name.
fn place(frame: &Frame, glyphs: Glyphs) -> String {
    match (&frame.file, frame.line, &frame.module) {
        (Some(file), Some(line), _) => format!("{}:{line}", clean(file, glyphs)),
        (Some(file), None, _) => clean(file, glyphs).into_owned(),
        (None, _, Some(module)) if frame.symbol.is_some() => clean(base_name(module), glyphs).into_owned(),
        (None, ..) => String::new(),
    }
}
