//! Who has the keyboard: the table, or one of the dialogs with what it holds.

use super::input::TextInput;
use super::keys::Context;
use super::msg::KillTarget;
use leaktrace_output::ReportFormat;
use std::path::PathBuf;

/// Who has the keyboard.
#[derive(Clone, Debug, Default)]
pub enum Mode {
    /// The table, or its detail on the full screen.
    #[default]
    Browse,
    /// The line of the filter.
    Filter,
    /// A page to read.
    Page {
        /// Which.
        page: Page,
        /// Lines above the first one shown.
        scroll: usize,
    },
    /// The order of the rows; the column that is pointed at, 0 for the snapshot's own order.
    Sort {
        /// The entry.
        entry: usize,
    },
    /// The thresholds; the one that is pointed at.
    Thresholds {
        /// The entry: threshold, stall, idle.
        entry: usize,
    },
    /// An export.
    Export(Export),
    /// Sockets that would be closed.
    Confirm(Confirm),
}

/// Pages to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Keys and signs.
    Help,
    /// Losses, degradations, cost.
    Health,
}

/// An export that is being prepared.
#[derive(Clone, Debug)]
pub struct Export {
    /// In this format.
    pub format: ReportFormat,
    /// To this file.
    pub path: TextInput,
    /// What is exported, in words.
    pub what: String,
}

/// Sockets that would be closed, as they were when it was asked for.
#[derive(Clone, Debug)]
pub struct Confirm {
    /// Which.
    pub sockets: Vec<KillTarget>,
    /// Each of the first ones: its identity and ends, who holds it and where.
    pub named: Vec<[String; 2]>,
    /// Sockets of the row that stay open because they are not listed or have no cookie.
    pub unlisted: u64,
    /// Whose sockets, in words.
    pub whose: String,
    /// Lines above the first one shown.
    pub scroll: usize,
}

impl Mode {
    /// Which keys hold, given whether the detail has the full screen.
    pub fn context(&self, panel: super::app::Panel) -> Context {
        match self {
            Self::Browse if panel == super::app::Panel::Full => Context::Detail,
            Self::Browse => Context::Browse,
            Self::Filter => Context::Filter,
            Self::Page { .. } => Context::Page,
            Self::Sort { .. } => Context::Sort,
            Self::Thresholds { .. } => Context::Thresholds,
            Self::Export(_) => Context::Export,
            Self::Confirm(_) => Context::Confirm,
        }
    }
}

impl Export {
    /// Another format, and the ending of the path with it where it was the old one's.
    pub fn set_format(&mut self, format: ReportFormat) {
        let ending = format!(".{}", extension(self.format));
        if let Some(stem) = self.path.text().strip_suffix(&ending) {
            self.path = TextInput::new(&format!("{stem}.{}", extension(format)));
        }
        self.format = format;
    }

    /// The file.
    pub fn file(&self) -> PathBuf {
        PathBuf::from(self.path.text())
    }
}

/// How files of a format end.
pub const fn extension(format: ReportFormat) -> &'static str {
    match format {
        ReportFormat::Text => "txt",
        ReportFormat::Json => "json",
        ReportFormat::Csv => "csv",
        ReportFormat::Html => "html",
        ReportFormat::Pprof => "pb.gz",
        ReportFormat::Folded => "folded",
        ReportFormat::Svg => "svg",
    }
}
