//! Notices on the last line of the screen.

use crate::app::App;
use crate::app::msg::{Notice, NoticeKind};

/// Shows a notice until the next key.
pub(crate) fn say(app: &mut App, kind: NoticeKind, text: impl Into<String>) {
    app.notice = Some(Notice { kind, text: text.into() });
}
