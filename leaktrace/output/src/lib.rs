//! Every output format of leaktrace: a [`Snapshot`](leaktrace_model::Snapshot) as text, JSON, CSV, HTML, pprof, folded stacks
//! and SVG, and the comparison of two JSON reports.
//!
//! Owns how things are named and worded ([`short_name()`], [`evidence()`]), how foreign text is made harmless ([`clean()`]), and where
//! reports go ([`Destination`]). It reads snapshots only: it decides nothing about sockets, resolves no symbols, and knows
//! neither kernel nor command line nor screen.
#![warn(unreachable_pub)]

mod caller;
mod callsite_name;
mod clean;
mod csv;
mod destination;
pub mod diff;
mod evidence;
mod flame;
mod folded;
mod format;
mod html;
mod json;
pub mod layout;
mod markup;
mod naming;
mod own_code;
mod plain;
mod pprof;
mod svg;
mod text;
mod writer;

pub use caller::Caller;
pub use callsite_name::{folded_path, short_name, stand_in};
pub use clean::clean;
pub use destination::{Destination, OutputError, check_output, create_growing, let_signals_end, write_whole};
pub use evidence::{Evidence, evidence, evidence_line, heading, holders, meaning};
pub use format::{ReportFormat, write_report};
pub use json::{REPORT_SCHEMA, json_line, write_json};
pub use naming::{base_name, frame_name, frame_with_place, without_hash};
pub use own_code::{is_library, is_plumbing, own_frame, telling_frames};
pub use plain::PlainTable;
pub use writer::Format;
