//! Which part has the keyboard: the table, or one of the dialogs with its state.

use crate::app::input::TextInput;
use crate::app::keys::Context;
use leaktrace_model::{Holder, SocketId, TcpState};
use leaktrace_output::ReportFormat;
use std::path::PathBuf;

/// Which part has the keyboard.
#[derive(Clone, Debug, Default)]
pub(crate) enum Mode {
    /// The table, or its detail on the full screen.
    #[default]
    Browse,
    /// The line of the filter.
    Filter,
    /// A page to read.
    Page {
        /// The page.
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

/// How much of the screen the detail of the row has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Panel {
    /// None.
    #[default]
    Closed,
    /// The lower part; the table keeps the keyboard.
    Split,
    /// All of it, and the keyboard.
    Full,
}

/// Pages to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// Keys and signs.
    Help,
    /// Losses, degradations, cost.
    Health,
}

/// An export that is being prepared.
#[derive(Clone, Debug)]
pub(crate) struct Export {
    /// In this format.
    pub(crate) format: ReportFormat,
    /// To this file.
    pub(crate) path: TextInput,
    /// What is exported, in words.
    pub(crate) what: String,
}

/// Sockets that would be closed, as they were when it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Confirm {
    /// The sockets.
    pub(crate) sockets: Vec<Target>,
    /// Sockets of the row that stay open because they are not listed or have no cookie.
    pub(crate) unlisted: u64,
    /// Whose sockets, in words.
    pub(crate) whose: String,
    /// Lines above the first one shown.
    pub(crate) scroll: usize,
}

/// A socket that would be closed.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// What closing it needs.
    pub(crate) id: SocketId,
    /// State of the connection.
    pub(crate) state: TcpState,
    /// Who holds it, the first one that is known.
    pub(crate) holder: Option<Holder>,
}

impl Mode {
    /// Which keys have a meaning now.
    pub(crate) fn context(&self, panel: Panel) -> Context {
        match self {
            Self::Browse if panel == Panel::Full => Context::Detail,
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
    /// Sets another format. The path gets its ending where it had that of the old format.
    pub(crate) fn set_format(&mut self, format: ReportFormat) {
        let ending = format!(".{}", self.format.extension());
        if let Some(stem) = self.path.text().strip_suffix(&ending) {
            self.path = TextInput::new(&format!("{stem}.{}", format.extension()));
        }
        self.format = format;
    }

    /// The file.
    pub(crate) fn file(&self) -> PathBuf {
        PathBuf::from(self.path.text())
    }
}
