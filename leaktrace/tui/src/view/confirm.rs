//! The confirmation before sockets are closed, which names them.

use super::dialog;
use super::pen::Pen;
use crate::app::App;
use crate::app::mode::{Confirm, Target};
use crate::signs::Signs as _;
use crate::text::{clean, width, wrap};
use crate::theme::Role;
use leaktrace_model::{Glyphs, Severity, SocketId, format_count, format_counted};
use ratatui::buffer::Buffer;

/// Most sockets that are named one by one.
const NAMED: usize = 1000;

const WARNING: &str = "The kernel resets each connection; reads and writes of the application fail from then on.";

/// Draws it.
pub(crate) fn draw(app: &App, dialog: &Confirm, buffer: &mut Buffer) {
    let title = format!("Close {}?", format_counted(dialog.sockets.len() as u64, "socket"));
    let named: Vec<[String; 2]> =
        dialog.sockets.iter().take(NAMED).map(|target| describe(target, app.options.glyphs)).collect();
    let length = |named: &[String; 2]| width(&named[0]) + 2 + width(&named[1]);
    let widest = named.iter().take(200).map(length).max().unwrap_or(0).clamp(56, 120);
    let cells = widest.min(usize::from(app.size.0.saturating_sub(4))).max(8);
    let head = wrap(&question(dialog), cells);
    let named: Vec<String> = named.iter().flat_map(|named| lines(named, cells)).collect();
    let tail = wrap(WARNING, cells);
    let wanted = (head.len() + named.len() + tail.len() + 3).min(usize::from(u16::MAX)) as u16;
    let area = dialog::open(app, &title, widest as u16, wanted, buffer);
    // The answer is always there; the warning is left out first in little room.
    let mut bottom = area.height.saturating_sub(1);
    Pen::new(app, buffer, area, bottom)
        .put("y", Role::Accent)
        .put(" close   ", Role::Bad(Severity::Leak))
        .put("n", Role::Accent)
        .put(" keep", Role::Text);
    if usize::from(bottom) > head.len() + tail.len() + 3 {
        bottom -= tail.len() as u16 + 1;
        for (row, line) in (bottom..).zip(&tail) {
            Pen::new(app, buffer, area, row).put(line, Role::Faint);
        }
        bottom -= 1;
    }
    for (row, line) in (0..bottom).zip(&head) {
        Pen::new(app, buffer, area, row).put(line, Role::Text);
    }
    let first = (head.len() as u16).min(bottom);
    let mut room = usize::from(bottom - first);
    let hidden = named.len() > room || NAMED < dialog.sockets.len();
    room = room.saturating_sub(usize::from(hidden));
    let top = dialog.scroll.min(named.len().saturating_sub(room));
    for (row, line) in (first..).zip(named.iter().skip(top).take(room)) {
        Pen::new(app, buffer, area, row).put(line, Role::Strong);
    }
    if hidden && bottom > first {
        let keys = app.options.glyphs.pick("\u{2191}\u{2193}", "Up/Down");
        let text = format!("{} in all, {keys} moves", format_count(dialog.sockets.len() as u64));
        Pen::new(app, buffer, area, bottom - 1).put(&text, Role::Faint);
    }
}

/// Its identity, ends and state; who holds it, and in which network namespace.
fn describe(target: &Target, glyphs: Glyphs) -> [String; 2] {
    let SocketId { cookie, netns, local, remote } = target.id;
    let what = format!("{cookie:>6x}  {local} {} {remote}  {}", glyphs.arrow(), target.state.name());
    let holder = target.holder.as_ref().map(|h| format!("{}[{}] fd {}", clean(&h.comm, glyphs), h.pid, h.fd));
    let netns = netns.map(|netns| format!("netns {netns}"));
    let place: Vec<String> = holder.into_iter().chain(netns).collect();
    [what, place.join("  ")]
}

/// One line where it fits, else two.
fn lines(named: &[String; 2], cells: usize) -> Vec<String> {
    let [what, place] = named;
    if place.is_empty() || width(what) + 2 + width(place) <= cells {
        return vec![format!("{what}  {place}")];
    }
    vec![what.clone(), format!("        {place}")]
}

fn question(dialog: &Confirm) -> String {
    let stay = match dialog.unlisted {
        0 => String::new(),
        1 => "; 1 more that is not flagged stays open".to_owned(),
        more => format!("; {} more that are not flagged stay open", format_count(more)),
    };
    format!("Of {}{stay}:", dialog.whose)
}
