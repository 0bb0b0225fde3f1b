//! What the live view knows: one value that `update` changes and `view` draws.
//!
//! No terminal, no clock, no files.

use super::columns::Around;
use super::columns::Tabular;
use super::data::Data;
use super::frames::Folding;
use super::glyphs::Charset;
use super::group::Grouped;
use super::history::History;
use super::index::{Sieve, Turn};
use super::input::TextInput;
use super::mode::Mode;
use super::msg::{Flow, MouseCapture, Notice, ReplayState, Thresholds};
use super::names::Names;
use super::row_key::RowKey;
use super::subject::Subject;
use super::table::{AnyTable, Table};
use super::theme::Colour;
use super::view_kind::{Grouping, View};
use std::collections::HashSet;

/// How the live view presents itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Characters to use.
    pub charset: Charset,
    /// Colours to use.
    pub colour: Colour,
}

/// What each view remembers while another one is shown.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// The row the cursor is on; `None` follows the top row, whichever it is.
    pub selected: Option<RowKey>,
    /// Its place among the rows that are shown.
    pub position: usize,
    /// The first row on the screen.
    pub offset: usize,
    /// The column that sorts; `None` is the snapshot's order, worst first.
    pub sort: Option<usize>,
    /// Whether the order is turned round.
    pub turn: Turn,
    /// What makes a row.
    pub grouping: Grouping,
}

/// How much of the screen the detail of the row has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Panel {
    /// None.
    #[default]
    Closed,
    /// The lower part; the table keeps the keyboard.
    Split,
    /// All of it, and the keyboard.
    Full,
}

/// Progress of taking in what was open before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopting {
    /// Sockets so far.
    pub done: u64,
    /// About how many there are.
    pub total: Option<u64>,
}

/// Everything.
#[derive(Debug, Default)]
pub struct App {
    pub(super) options: Options,
    /// Columns and rows of the terminal.
    pub(super) size: (u16, u16),
    pub(super) data: Option<Data>,
    /// The newest data while the view is paused.
    pub(super) held: Option<Data>,
    pub(super) flow: Flow,
    pub(super) view: View,
    pub(super) lists: [List; 4],
    pub(super) sieve: Sieve,
    /// What is typed into the filter.
    pub(super) filter_text: TextInput,
    /// What the scope of the sockets view is called, and the view it was entered from.
    pub(super) scope_from: Option<(String, View)>,
    pub(super) mode: Mode,
    pub(super) panel: Panel,
    pub(super) detail_scroll: usize,
    pub(super) folding: Folding,
    /// The rows of the current view that are shown, as indices into its table.
    pub(super) rows: Vec<u32>,
    pub(super) grouped: Grouped,
    pub(super) subject: Option<Subject>,
    pub(super) history: History,
    pub(super) rates: Rates,
    pub(super) adopting: Option<Adopting>,
    pub(super) replay: Option<ReplayState>,
    pub(super) notice: Option<Notice>,
    pub(super) names: Names,
    /// Call sites whose frames were asked for.
    pub(super) asked: HashSet<u64>,
    pub(super) mouse: MouseCapture,
    /// Thresholds of the first snapshot.
    pub(super) initial: Option<Thresholds>,
    /// Thresholds that were chosen here and are not in a snapshot yet.
    pub(super) chosen: Option<Thresholds>,
}

/// What the header says about the last moment, each a second; unknown until there are two snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Sockets opened.
    pub opened: Option<f64>,
    /// Sockets closed.
    pub closed: Option<f64>,
    /// Share of one processor that leaktrace takes, 1 for all of it.
    pub cpu: Option<f64>,
}

impl App {
    /// Before the first snapshot, on a terminal of that size.
    pub fn new(options: Options, width: u16, height: u16) -> Self {
        Self { options, size: (width, height), ..Self::default() }
    }

    /// The state of the view that is shown.
    pub(super) fn list(&self) -> &List {
        &self.lists[self.view.index()]
    }

    /// The same, to change.
    pub(super) fn list_mut(&mut self) -> &mut List {
        &mut self.lists[self.view.index()]
    }

    /// The rows that the view is about; `None` before the first snapshot.
    pub(super) fn table(&self) -> Option<AnyTable<'_>> {
        let data = self.data.as_ref()?;
        Some(AnyTable::of(self.view, self.list().grouping, data, &self.grouped))
    }

    /// What a cell of that row is made from.
    pub(super) fn around<'a, T: Tabular>(&'a self, table: &Table<'a, T>, at: usize, width: usize) -> Around<'a> {
        Around {
            lens: table.lens,
            history: &self.history,
            names: &self.names,
            charset: self.options.charset,
            colour: self.options.colour,
            grouping: table.grouping,
            counts: table.counts(at),
            extra: table.extra(at),
            width,
        }
    }

    /// The row the cursor is on, as an index into the table.
    pub(super) fn selected_row(&self) -> Option<usize> {
        self.rows.get(self.list().position).map(|at| *at as usize)
    }

    /// The thresholds in force, or about to be.
    pub(super) fn thresholds(&self) -> Option<Thresholds> {
        self.chosen.or_else(|| {
            let settings = &self.data.as_ref()?.snapshot.settings;
            Some(Thresholds { threshold_s: settings.threshold_s, stall_s: settings.stall_s, idle_s: settings.idle_s })
        })
    }

    /// Whether anything narrows what is shown.
    pub(super) fn is_narrowed(&self) -> bool {
        let sieve = &self.sieve;
        !sieve.filter.is_empty()
            || sieve.scope.is_some()
            || sieve.severity != super::view_kind::SeverityFilter::All
            || sieve.direction != super::view_kind::DirectionFilter::Both
    }
}
