//! The live view: a top for sockets.
//!
//! [`update()`] takes messages in and asks for effects, [`view()`] draws; both are pure. [`run()`] drives them on a terminal, from any
//! source of snapshots.
//!
//! Reads [`leaktrace_model::Snapshot`] and nothing else: no kernel, no maps, no files, no name servers. What the live view wants done
//! leaves as an [`Effect`], which the caller carries out.

#![warn(unreachable_pub)]

mod app;
mod frames;
mod layout;
mod rows;
mod short_numbers;
mod signs;
mod text;
mod theme;
mod update;
mod view;

#[cfg(test)]
mod tests;

pub use app::keys::manual;
pub use app::msg::{Effect, Flow, MouseCapture, Msg, Notice, NoticeKind, ReplayState, Update};
pub use app::run::{Ended, TuiError, run};
pub use app::terminal::{Unfit, check_terminal};
pub use app::{App, Options};
pub use rows::export_rows::Shown;
pub use rows::snapshot_index::SnapshotIndex;
pub use signs::glyphs_of_locale;
pub use theme::Colour;
pub use update::update;
pub use update::wants::wants;
pub use view::view;
