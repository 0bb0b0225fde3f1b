//! The formats: their names on the command line, how their files end, and what writes them.
//!
//! A new format needs a file of its own and an entry in the table here.

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

/// Makes the enum of the formats and everything that there is one of for each, so that none can be forgotten.
macro_rules! formats {
    ($($(#[$doc:meta])* $variant:ident: $name:literal, $extension:literal, $about:literal;)*) => {
        /// The formats of `leaktrace report --format`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum ReportFormat {
            $($(#[$doc])* $variant,)*
        }

        impl ReportFormat {
            /// All of them.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The name on the command line.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// How names of its files end, without the dot.
            pub const fn extension(self) -> &'static str {
                match self {
                    $(Self::$variant => $extension,)*
                }
            }

            /// Its use, in a few words.
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$variant => $about,)*
                }
            }

            /// What writes it.
            pub fn format(self) -> &'static dyn Format {
                match self {
                    $(Self::$variant => &$variant,)*
                }
            }
        }
    };
}

// Name on the command line, ending of its files, use. What writes a format has the name of its variant.
formats! {
    /// For people and tickets, within 100 columns.
    #[default]
    Text: "text", "txt", "for people and tickets";
    /// The whole snapshot, for programs.
    Json: "json", "json", "everything, for programs and leaktrace diff";
    /// One row a socket.
    Csv: "csv", "csv", "a row a socket, for spreadsheets";
    /// One self-contained page.
    Html: "html", "html", "one page that opens anywhere";
    /// For `go tool pprof` and speedscope.
    Pprof: "pprof", "pb.gz", "for go tool pprof";
    /// Folded stacks, weighed by open sockets.
    Folded: "folded", "folded", "stacks by open sockets, for flame graph tools";
    /// A flame graph, weighed by open sockets.
    Svg: "svg", "svg", "a flame graph of open sockets";
}

impl ReportFormat {
    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
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
