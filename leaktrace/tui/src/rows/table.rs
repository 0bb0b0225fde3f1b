//! The rows of a view: those of the snapshot, or grouped ones.

use crate::rows::data::Data;
use crate::rows::group::{Extra, Grouped};
use crate::rows::lens::Lens;
use crate::rows::row::Row;
use crate::rows::view_kind::{Grouping, Opened, View};
use leaktrace_model::{Callsite, Group, Process, Severity, Socket, VerdictCounts};

/// Rows of one kind.
#[derive(Debug)]
pub(crate) struct Table<'a, T> {
    /// The rows; indices of a list of rows are those of this slice.
    pub(crate) items: &'a [T],
    /// What grouped rows have beside the fields of their kind.
    pub(crate) extras: Option<&'a [Extra]>,
    /// Where they come from.
    pub(crate) lens: Lens<'a>,
    /// What makes a row.
    pub(crate) grouping: Grouping,
}

impl<T> Clone for Table<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Table<'_, T> {}

impl<'a, T: Row> Table<'a, T> {
    /// What a grouped row has beside the fields of its kind.
    pub(crate) fn extra(&self, at: usize) -> Option<Extra> {
        self.extras.and_then(|extras| extras.get(at)).copied()
    }

    /// Sockets of a row by verdict.
    pub(crate) fn counts(&self, at: usize) -> VerdictCounts {
        match (self.extra(at), self.items.get(at)) {
            (Some(extra), _) => extra.counts,
            (None, Some(item)) => item.counts(at, self.lens),
            (None, None) => VerdictCounts::default(),
        }
    }

    /// The worst severity of a row.
    pub(crate) fn worst(&self, at: usize) -> Option<Severity> {
        self.counts(at).worst()
    }

    /// Which end opened the sockets of a row, where it has a direction.
    pub(crate) fn opened(&self, at: usize) -> Option<Opened> {
        match self.extra(at) {
            Some(extra) => extra.opened,
            None => self.items.get(at)?.direction().map(Opened::By),
        }
    }
}

/// A table of any kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AnyTable<'a> {
    /// Call sites.
    Callsites(Table<'a, Callsite>),
    /// Processes.
    Processes(Table<'a, Process>),
    /// Peers or listeners.
    Peers(Table<'a, Group>),
    /// Sockets.
    Sockets(Table<'a, Socket>),
}

impl<'a> AnyTable<'a> {
    /// The rows of a view.
    pub(crate) fn of(view: View, grouping: Grouping, data: &'a Data, grouped: &'a Grouped) -> Self {
        let (snapshot, lens) = (&*data.snapshot, data.lens());
        match (view, grouped) {
            (View::Callsites, Grouped::Callsites(items, extras)) => {
                Self::Callsites(Table { items, extras: Some(extras), lens, grouping })
            }
            (View::Processes, Grouped::Processes(items, extras)) => {
                Self::Processes(Table { items, extras: Some(extras), lens, grouping })
            }
            (View::Peers, Grouped::Peers(items, extras)) => {
                Self::Peers(Table { items, extras: Some(extras), lens, grouping })
            }
            (View::Callsites, _) => {
                Self::Callsites(Table { items: &snapshot.callsites, extras: None, lens, grouping: Grouping::Each })
            }
            (View::Processes, _) => {
                Self::Processes(Table { items: &snapshot.processes, extras: None, lens, grouping: Grouping::Each })
            }
            (View::Peers, _) if grouping == Grouping::Listener => {
                Self::Peers(Table { items: &snapshot.listeners, extras: None, lens, grouping })
            }
            (View::Peers, _) => {
                Self::Peers(Table { items: &snapshot.peers, extras: None, lens, grouping: Grouping::Each })
            }
            (View::Sockets, _) => {
                Self::Sockets(Table { items: &snapshot.sockets, extras: None, lens, grouping: Grouping::Each })
            }
        }
    }
}

/// Runs the same code with a table of any kind.
macro_rules! with_table {
    ($any:expr, $table:ident => $body:expr) => {
        match $any {
            $crate::rows::table::AnyTable::Callsites($table) => $body,
            $crate::rows::table::AnyTable::Processes($table) => $body,
            $crate::rows::table::AnyTable::Peers($table) => $body,
            $crate::rows::table::AnyTable::Sockets($table) => $body,
        }
    };
}
pub(crate) use with_table;
