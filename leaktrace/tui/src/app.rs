//! What the live view knows: one value that `update` changes and `view` draws.
//!
//! No terminal, no clock, no files.

pub(crate) mod input;
pub(crate) mod keys;
pub(crate) mod mode;
pub(crate) mod msg;
pub(crate) mod run;
pub(crate) mod terminal;

use crate::app::input::TextInput;
use crate::app::mode::{Mode, Panel};
use crate::app::msg::{Flow, MouseCapture, Notice, ReplayState};
use crate::frames::Folding;
use crate::rows::columns::{Around, Tabular};
use crate::rows::data::Data;
use crate::rows::detail_data::DetailData;
use crate::rows::group::Grouped;
use crate::rows::history::History;
use crate::rows::names::Names;
use crate::rows::row_key::RowKey;
use crate::rows::sort::{RowFilter, Turn};
use crate::rows::table::{AnyTable, Table};
use crate::rows::view_kind::{Grouping, View};
use crate::theme::Colour;
use leaktrace_model::{Glyphs, Limits};
use std::collections::HashSet;

/// How the live view presents itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Characters to use.
    pub glyphs: Glyphs,
    /// Colours to use.
    pub colour: Colour,
}

/// What each view keeps while another one is shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    /// The row the cursor is on; `None`: the cursor stays on the top row.
    pub(crate) selected: Option<RowKey>,
    /// Its place among the rows that are shown.
    pub(crate) position: usize,
    /// The first row on the screen.
    pub(crate) offset: usize,
    /// The column that sorts; `None` is the snapshot's order, worst first.
    pub(crate) sort: Option<usize>,
    /// Whether the order is reversed.
    pub(crate) turn: Turn,
    /// What makes a row.
    pub(crate) grouping: Grouping,
}

/// Progress of adopting sockets that were open before the tracer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Adopting {
    /// Sockets so far.
    pub(crate) done: u64,
    /// About how many there are.
    pub(crate) total: Option<u64>,
}

/// The state of the live view.
#[derive(Debug, Default)]
pub struct App {
    pub(crate) options: Options,
    /// Columns and rows of the terminal.
    pub(crate) size: (u16, u16),
    pub(crate) data: Option<Data>,
    /// The newest data while the view is paused.
    pub(crate) held: Option<Data>,
    pub(crate) flow: Flow,
    pub(crate) view: View,
    pub(crate) lists: [List; 4],
    pub(crate) filter: RowFilter,
    /// The text that is typed into the filter.
    pub(crate) filter_text: TextInput,
    /// While the sockets of one row are shown: what that row is called, and the view it is in.
    pub(crate) scope_from: Option<(String, View)>,
    pub(crate) mode: Mode,
    pub(crate) panel: Panel,
    pub(crate) detail_scroll: usize,
    pub(crate) folding: Folding,
    /// The rows of the current view that are shown, as indices into its table.
    pub(crate) rows: Vec<u32>,
    pub(crate) grouped: Grouped,
    pub(crate) detail: Option<DetailData>,
    pub(crate) history: History,
    pub(crate) rates: Rates,
    pub(crate) adopting: Option<Adopting>,
    pub(crate) replay: Option<ReplayState>,
    pub(crate) notice: Option<Notice>,
    pub(crate) names: Names,
    /// Call sites whose frames were requested.
    pub(crate) asked: HashSet<u64>,
    pub(crate) mouse: MouseCapture,
    /// Thresholds of the first snapshot.
    pub(crate) initial: Option<Limits>,
    /// Thresholds that were chosen here and are not in a snapshot yet.
    pub(crate) chosen: Option<Limits>,
}

/// Rates in the header, per second; `None` until there are two snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    /// Sockets opened.
    pub(crate) opened: Option<f64>,
    /// Sockets closed.
    pub(crate) closed: Option<f64>,
    /// Share of one processor that leaktrace takes, 1 for all of it.
    pub(crate) cpu: Option<f64>,
}

impl App {
    /// Before the first snapshot, on a terminal of that size.
    pub fn new(options: Options, width: u16, height: u16) -> Self {
        Self { options, size: (width, height), ..Self::default() }
    }

    /// The state of the view that is shown.
    pub(crate) fn list(&self) -> &List {
        &self.lists[self.view.index()]
    }

    /// The same, mutable.
    pub(crate) fn list_mut(&mut self) -> &mut List {
        &mut self.lists[self.view.index()]
    }

    /// The table of the view that is shown; `None` before the first snapshot.
    pub(crate) fn table(&self) -> Option<AnyTable<'_>> {
        let data = self.data.as_ref()?;
        Some(AnyTable::of(self.view, self.list().grouping, data, &self.grouped))
    }

    /// What the cells of that row need beside the row.
    pub(crate) fn around<'a, T: Tabular>(&'a self, table: &Table<'a, T>, at: usize, width: usize) -> Around<'a> {
        Around {
            lens: table.lens,
            history: &self.history,
            names: &self.names,
            glyphs: self.options.glyphs,
            colour: self.options.colour,
            grouping: table.grouping,
            counts: table.counts(at),
            opened: table.opened(at),
            extra: table.extra(at),
            width,
        }
    }

    /// The row the cursor is on, as an index into the table.
    pub(crate) fn selected_row(&self) -> Option<usize> {
        self.rows.get(self.list().position).map(|at| *at as usize)
    }

    /// The thresholds in force; those that were chosen here come first.
    pub(crate) fn limits(&self) -> Option<Limits> {
        self.chosen.or_else(|| Some(self.data.as_ref()?.snapshot.settings.limits))
    }

    /// Whether anything narrows what is shown.
    pub(crate) fn is_narrowed(&self) -> bool {
        let filter = &self.filter;
        !filter.search.is_empty()
            || filter.scope.is_some()
            || filter.severity != crate::rows::view_kind::SeverityFilter::All
            || filter.direction != crate::rows::view_kind::DirectionFilter::Both
    }
}
