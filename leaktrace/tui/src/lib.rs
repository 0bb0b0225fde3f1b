//! The live view: a top for sockets.
//!
//! [`update`] takes messages in and asks for effects, [`view`] draws; both are pure. [`run`] drives them on a
//! terminal, from any source of snapshots. Reads [`leaktrace_model::snapshot`] and nothing else: no kernel, no maps, no files.

mod app;
pub mod bench;
mod columns;
mod data;
mod facts;
mod figures;
mod filter;
mod frames;
mod glyphs;
mod group;
mod history;
mod index;
mod input;
mod item;
mod keys;
mod layout;
mod mode;
mod msg;
mod names;
mod row_key;
mod run;
mod scope;
mod subject;
pub mod synthetic;
mod table;
mod terminal;
mod text;
mod theme;
mod title;
mod update;
mod view;
mod view_kind;

pub use app::{App, Options};
pub use bench::bench_frames;
pub use facts::Facts;
pub use glyphs::Charset;
pub use keys::manual;
pub use msg::{Effect, Flow, KillTarget, MouseCapture, Msg, Notice, NoticeKind, ReplayState, Thresholds, Update};
pub use run::{Ended, TuiError, run};
pub use scope::Shown;
pub use terminal::{Unfit, check_terminal};
pub use theme::Colour;
pub use update::{update, wants};
pub use view::view;

#[cfg(test)]
mod tests;
