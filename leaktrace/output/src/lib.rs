//! Reports: a [`Snapshot`] in one of seven formats, to standard output or a file.
//!
//! Reads snapshots only. It decides nothing about sockets, resolves no symbols and knows no command line.

mod clean;
mod csv;
pub mod diff;
mod evidence;
mod flame;
mod folded;
mod html;
mod json;
pub(crate) mod layout;
mod output;
mod pprof;
mod stack;
mod svg;
mod table;
mod text;
pub mod units;

#[cfg(test)]
mod foreign_tests;

use leaktrace_model::snapshot::Snapshot;
use std::io::{self, Write};

pub use clean::clean;
pub use evidence::{Evidence, evidence, evidence_line, holders, meaning};
pub use json::REPORT_SCHEMA;
pub(crate) use json::write_json;
pub use output::{Destination, OutputError, check_output, write_whole};
pub(crate) use stack::without_hash;
pub use stack::{
    base_name, folded_path, frame_name, frame_with_place, is_plumbing, short_name, stand_in, telling_frames,
};
pub use table::PlainTable;

/// One way to write a snapshot down.
pub trait Format {
    /// Writes all of it.
    ///
    /// # Errors
    /// Only those of `out`.
    fn write(&self, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()>;
}

/// The formats of `leaktrace report --format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReportFormat {
    /// For people and tickets, within 100 columns.
    #[default]
    Text,
    /// The whole snapshot, for programs.
    Json,
    /// One row a socket.
    Csv,
    /// One self-contained page.
    Html,
    /// For `go tool pprof` and speedscope.
    Pprof,
    /// Folded stacks, weighed by open sockets.
    Folded,
    /// A flame graph, weighed by open sockets.
    Svg,
}

impl ReportFormat {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Text, Self::Json, Self::Csv, Self::Html, Self::Pprof, Self::Folded, Self::Svg];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Html => "html",
            Self::Pprof => "pprof",
            Self::Folded => "folded",
            Self::Svg => "svg",
        }
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Whether it makes no sense on a terminal.
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::Pprof)
    }

    /// What writes it.
    pub fn format(self) -> &'static dyn Format {
        match self {
            Self::Text => &text::Text,
            Self::Json => &json::Json,
            Self::Csv => &csv::Csv,
            Self::Html => &html::Html,
            Self::Pprof => &pprof::Pprof,
            Self::Folded => &folded::Folded,
            Self::Svg => &svg::Svg,
        }
    }
}

/// Writes one report, whole or not at all.
///
/// # Errors
/// One sentence: what is wrong with the destination and what to do.
pub fn write_report(snapshot: &Snapshot, format: ReportFormat, destination: &Destination) -> Result<(), OutputError> {
    write_whole(destination, |out| format.format().write(snapshot, out))
}
