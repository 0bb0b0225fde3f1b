//! Moving through text that is longer than its place on the screen.

use crate::app::keys::Action;

/// Scrolls by lines. The view that draws the text stops at its end.
pub(crate) fn scroll(lines: &mut usize, action: Action) {
    *lines = match action {
        Action::Up => lines.saturating_sub(1),
        Action::Down => lines.saturating_add(1),
        Action::PageUp => lines.saturating_sub(10),
        Action::PageDown => lines.saturating_add(10),
        Action::First => 0,
        Action::Last => usize::MAX,
        _ => *lines,
    };
}
