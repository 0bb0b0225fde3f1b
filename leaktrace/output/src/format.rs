//! The formats: their names on the command line, how their files end, and what writes them.
//!
//! A new format needs a file of its own and a line in each list here.

use crate::{
    csv::Csv,
    destination::{Destination, OutputError, write_whole},
    folded::Folded,
    html::Html,
    json::Json,
    pprof::Pprof,
    svg::Svg,
    text::Text,
    writer::Format,
};
use leaktrace_model::Snapshot;

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

    /// How names of its files end, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Html => "html",
            Self::Pprof => "pb.gz",
            Self::Folded => "folded",
            Self::Svg => "svg",
        }
    }

    /// What writes it.
    pub fn format(self) -> &'static dyn Format {
        match self {
            Self::Text => &Text,
            Self::Json => &Json,
            Self::Csv => &Csv,
            Self::Html => &Html,
            Self::Pprof => &Pprof,
            Self::Folded => &Folded,
            Self::Svg => &Svg,
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

#[cfg(test)]
mod tests;
