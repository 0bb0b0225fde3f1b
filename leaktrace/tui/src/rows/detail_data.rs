//! What the detail of a row shows: its sockets, which processes hold them, the evidence of its verdicts.
//!
//! Computed when the cursor moves or a snapshot arrives, and only while the detail is open.

use crate::rows::data::Data;
use crate::rows::row_key::RowKey;
use leaktrace_model::{Glyphs, Peer, Socket, Verdict, VerdictCounts};
use leaktrace_output::evidence;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Most sockets that are examined.
const EXAMINED: usize = 2000;

/// Most sockets that are listed.
const LISTED: usize = 100;

/// Sockets of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Process.
    pub(crate) pid: u32,
    /// Its name.
    pub(crate) comm: String,
    /// Its first descriptors.
    pub(crate) fds: Vec<u32>,
    /// Descriptors among the examined sockets.
    pub(crate) count: u64,
}

/// The evidence of one verdict of the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// Sockets that have it.
    pub(crate) count: u64,
    /// The evidence of the worst socket, in words.
    pub(crate) words: Option<String>,
}

/// The detail of one row.
#[derive(Clone, Debug, Default)]
pub(crate) struct DetailData {
    /// Which row.
    pub(crate) key: Option<RowKey>,
    /// Its first sockets, as indices into the snapshot's list, worst first.
    pub(crate) sockets: Vec<u32>,
    /// How many it has in that list; a lower bound if [`Self::all_counted`] is [`Counted::Some`].
    pub(crate) listed: u64,
    /// Whether that is all of them.
    pub(crate) all_counted: Counted,
    /// Who holds them, most first.
    pub(crate) held: Vec<Held>,
    /// Call sites that opened its sockets, by id, most first.
    pub(crate) sites: Vec<(u64, u64)>,
    /// The evidence of its verdicts, worst first.
    pub(crate) reasons: Vec<Reason>,
}

/// Whether a count is complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Counted {
    /// It is complete.
    #[default]
    All,
    /// There may be more.
    Some,
}

impl DetailData {
    /// The detail of a row whose sockets have these verdicts.
    pub(crate) fn of(key: RowKey, counts: &VerdictCounts, data: &Data, glyphs: Glyphs) -> Self {
        let (sockets, listed, all_counted) = sockets_of(&key, data, EXAMINED);
        let all = &data.snapshot.sockets;
        let examined = || sockets.iter().filter_map(|at| all.get(*at as usize));
        let reason = |(verdict, count): (Verdict, u64)| {
            let worst = examined().find(|socket| socket.observed.verdicts.contains(verdict));
            Reason { verdict, count, words: worst.and_then(|socket| words(socket, verdict, glyphs)) }
        };
        Self {
            held: held(examined()),
            sites: sites(examined()),
            reasons: counts.iter().map(reason).collect(),
            listed,
            all_counted,
            sockets: sockets.iter().copied().take(LISTED).collect(),
            key: Some(key),
        }
    }
}

/// The evidence of one verdict.
fn words(socket: &Socket, verdict: Verdict, glyphs: Glyphs) -> Option<String> {
    evidence(socket, glyphs).into_iter().find(|fact| fact.verdict == verdict).map(|fact| fact.words)
}

/// The first `most` sockets of a row, how many were found, and whether that is all. Where the index has no list for the row,
/// only the worst sockets are searched.
fn sockets_of(key: &RowKey, data: &Data, most: usize) -> (Vec<u32>, u64, Counted) {
    let (lens, index) = (data.lens(), &data.index);
    let owned = |at: &u32| data.snapshot.sockets.get(*at as usize).is_some_and(|socket| key.owns(socket, lens));
    let mut counted = Counted::All;
    let found: Vec<u32> = match key {
        RowKey::Callsite(id) => index.sockets_of(*id).to_vec(),
        RowKey::Process(pid) => index.sockets_held_by(*pid).to_vec(),
        RowKey::Peer(peer @ Peer::Service(_)) => index.sockets_with(peer.ip()).iter().copied().filter(owned).collect(),
        RowKey::Peer(Peer::Client(host)) | RowKey::Host(host) => index.sockets_with(*host).to_vec(),
        _ => {
            let all = data.snapshot.sockets.len();
            let searched = all.min(most.saturating_mul(50));
            let found: Vec<u32> = (0..searched as u32).filter(owned).take(most.saturating_add(1)).collect();
            if searched < all || found.len() > most {
                counted = Counted::Some;
            }
            found
        }
    };
    let count = found.len() as u64;
    (found.into_iter().take(most).collect(), count, counted)
}

/// Every socket of a row, worst first.
pub(crate) fn all_sockets_of<'a>(key: &RowKey, data: &'a Data) -> Vec<&'a Socket> {
    let (found, _, _) = sockets_of(key, data, usize::MAX);
    found.into_iter().filter_map(|at| data.snapshot.sockets.get(at as usize)).collect()
}

fn sites<'a>(sockets: impl Iterator<Item = &'a Socket>) -> Vec<(u64, u64)> {
    let mut counts: HashMap<u64, u64> = HashMap::new();
    for id in sockets.filter_map(|socket| socket.callsite) {
        *counts.entry(id).or_default() += 1;
    }
    let mut sites: Vec<(u64, u64)> = counts.into_iter().collect();
    sites.sort_unstable_by_key(|(id, count)| (Reverse(*count), *id));
    sites
}

fn held<'a>(sockets: impl Iterator<Item = &'a Socket>) -> Vec<Held> {
    let mut held: Vec<Held> = Vec::new();
    for holder in sockets.flat_map(|socket| &socket.holders) {
        if let Some(known) = held.iter_mut().find(|h| h.pid == holder.pid) {
            known.count += 1;
            if known.fds.len() < 12 {
                known.fds.push(holder.fd);
            }
        } else if held.len() < 64 {
            held.push(Held { pid: holder.pid, comm: holder.comm.clone(), fds: vec![holder.fd], count: 1 });
        }
    }
    held.sort_by_key(|h| Reverse(h.count));
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::{Holder, Observed, Snapshot, Ticks, Verdicts};
    use std::num::NonZeroU64;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn the_evidence_is_that_of_the_worst_socket_and_holders_come_most_first() {
        let mut stuck = Verdicts::NONE;
        stuck.insert(Verdict::CloseWait);
        let socket = |cookie, pid, verdicts, state_s| Socket {
            observed: Observed {
                cookie: NonZeroU64::new(cookie),
                verdicts,
                in_state: Ticks(Ticks::from_duration(Duration::from_secs(state_s)).0 + 1),
                ..Observed::default()
            },
            callsite: Some(1),
            holders: vec![Holder { pid, comm: "api".to_owned(), fd: cookie as u32 }],
            ..Socket::default()
        };
        let sockets = vec![socket(5, 2, stuck, 600), socket(6, 3, stuck, 60), socket(7, 3, Verdicts::NONE, 1)];
        let data = Data::of(Arc::new(Snapshot { sockets, ..Snapshot::default() }));
        let counts = VerdictCounts::from_iter([(Verdict::CloseWait, 2)]);
        let detail = DetailData::of(RowKey::Callsite(1), &counts, &data, Glyphs::Unicode);
        assert_eq!(detail.held.iter().map(|h| (h.pid, h.count)).collect::<Vec<_>>(), [(3, 2), (2, 1)]);
        assert_eq!(detail.reasons.len(), 1);
        assert!(detail.reasons[0].words.as_deref().unwrap().contains("10m"), "{:?}", detail.reasons);
        assert_eq!((detail.listed, detail.sockets.len()), (3, 3));
    }
}
