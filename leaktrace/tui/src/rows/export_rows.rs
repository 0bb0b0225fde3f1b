//! The rows that are shown as a report of their own, for an export.

use crate::rows::data::Data;
use crate::rows::row_key::RowKey;
use crate::rows::view_kind::{Grouping, View};
use leaktrace_model::{Snapshot, Totals};
use std::collections::HashSet;
use std::sync::Arc;

/// The rows that were shown when an export was requested. Cheap to make; [`Self::to_snapshot`] does the work.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub(crate) data: Data,
    pub(crate) view: View,
    pub(crate) grouping: Grouping,
    /// The rows that are kept; `None` keeps everything.
    pub(crate) rows: Option<HashSet<RowKey>>,
}

impl Shown {
    /// The report: those rows, their sockets, and the call sites, processes and peers of these sockets. Takes a
    /// pass over all sockets, so never call it on the thread that reads keys.
    pub fn to_snapshot(&self) -> Arc<Snapshot> {
        let Some(rows) = &self.rows else { return Arc::clone(&self.data.snapshot) };
        let (whole, lens) = (&*self.data.snapshot, self.data.lens());
        let kept: Vec<_> = whole
            .sockets
            .iter()
            .filter(|socket| {
                let keys = RowKey::of_socket(socket, self.view, self.grouping, lens);
                keys.iter().any(|key| rows.contains(key))
            })
            .cloned()
            .collect();
        let owned = |view: View| -> HashSet<RowKey> {
            kept.iter().flat_map(|socket| RowKey::of_socket(socket, view, Grouping::Each, lens)).collect()
        };
        let pick = |view: View| (self.view != view || self.grouping != Grouping::Each).then(|| owned(view));
        let (sites, processes, peers) = (pick(View::Callsites), pick(View::Processes), pick(View::Peers));
        let mut part = Snapshot {
            schema_version: whole.schema_version,
            tool: whole.tool,
            host: whole.host.clone(),
            window: whole.window,
            settings: whole.settings.clone(),
            health: whole.health.clone(),
            totals: Totals::default(),
            processes: keep(&whole.processes, processes.as_ref().unwrap_or(rows)),
            callsites: keep(&whole.callsites, sites.as_ref().unwrap_or(rows)),
            peers: keep(&whole.peers, peers.as_ref().unwrap_or(rows)),
            listeners: Vec::new(),
            sockets: kept,
            run: None,
        };
        part.totals = totals(&part, self.view);
        Arc::new(part)
    }
}

fn keep<T: crate::rows::row::Row + Clone>(rows: &[T], keys: &HashSet<RowKey>) -> Vec<T> {
    rows.iter().filter(|row| keys.contains(&row.key(Grouping::Each))).cloned().collect()
}

/// Sums over what is kept: over its call sites if call sites were shown, else over its listed sockets.
fn totals(part: &Snapshot, view: View) -> Totals {
    let mut totals = Totals::default();
    if view == View::Callsites {
        for site in &part.callsites {
            totals.sums.merge(&site.sums);
            totals.opened += site.opened;
            totals.closed += site.closed;
        }
    } else {
        part.sockets.iter().for_each(|socket| totals.sums.add(&socket.observed));
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::{Callsite, Observed, Socket, Sums};
    use std::num::NonZeroU64;

    #[test]
    fn an_export_of_some_call_sites_has_their_sockets_and_their_sums() {
        let site = |id, open| Callsite { id, sums: Sums { open, ..Sums::default() }, ..Callsite::default() };
        let socket = |cookie, callsite| Socket {
            observed: Observed { cookie: NonZeroU64::new(cookie), ..Observed::default() },
            callsite: Some(callsite),
            ..Socket::default()
        };
        let whole = Snapshot {
            callsites: vec![site(1, 10), site(2, 20)],
            sockets: vec![socket(1, 1), socket(2, 2), socket(3, 1)],
            ..Snapshot::default()
        };
        let shown = Shown {
            data: Data::of(Arc::new(whole)),
            view: View::Callsites,
            grouping: Grouping::Each,
            rows: Some(HashSet::from([RowKey::Callsite(1)])),
        };
        let part = shown.to_snapshot();
        assert_eq!(part.callsites.len(), 1);
        assert_eq!(
            part.sockets.iter().filter_map(|s| s.observed.cookie).map(NonZeroU64::get).collect::<Vec<_>>(),
            [1, 3]
        );
        assert_eq!(part.totals.sums.open, 10);
    }
}
