//! The row the cursor is on, seen closely: its sockets, who holds them, what its verdicts rest on.
//!
//! Computed when the cursor moves or a snapshot comes, and only while the detail is open.

use super::data::Data;
use super::facts::Counts;
use super::glyphs::Charset;
use super::row_key::RowKey;
use leaktrace_common::Verdict;
use leaktrace_model::snapshot::Socket;
use leaktrace_output::evidence;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Most sockets that are looked at closely.
const LOOKED_AT: usize = 2000;

/// Most sockets that are listed.
pub const LISTED: usize = 100;

/// Sockets of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Its first descriptors.
    pub fds: Vec<u32>,
    /// Descriptors, as far as looked at.
    pub count: u64,
}

/// What one verdict of the row rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The verdict.
    pub verdict: Verdict,
    /// Sockets that have it.
    pub count: u64,
    /// The evidence of the worst one, in words.
    pub words: Option<String>,
}

/// A row seen closely.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// Which row.
    pub key: Option<RowKey>,
    /// Its first sockets, as indices into the snapshot's list, worst first.
    pub sockets: Vec<u32>,
    /// How many it has in that list; at least so many where [`Self::all_counted`] says so.
    pub listed: u64,
    /// Whether there may be more.
    pub all_counted: Counted,
    /// Who holds them, most first.
    pub held: Vec<Held>,
    /// Call sites that opened its sockets, by id, most first.
    pub sites: Vec<(u64, u64)>,
    /// What its verdicts rest on, worst first.
    pub reasons: Vec<Reason>,
}

/// Whether a count is complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counted {
    /// It is.
    #[default]
    All,
    /// There may be more.
    Some,
}

impl Subject {
    /// Looks closely at a row whose sockets have these verdicts.
    pub fn of(key: RowKey, counts: &Counts, data: &Data, charset: Charset) -> Self {
        let (sockets, listed, all_counted) = sockets_of(&key, data, LOOKED_AT);
        let all = &data.snapshot.sockets;
        let looked_at = || sockets.iter().filter_map(|at| all.get(*at as usize));
        let reason = |verdict: Verdict| {
            let mut having = (0u64..)
                .zip(&sockets)
                .filter(|(_, at)| data.facts.verdicts.get(**at as usize).is_some_and(|set| set.contains(verdict)));
            let first = having.next().and_then(|(_, at)| all.get(*at as usize));
            Reason {
                verdict,
                count: counts[verdict as usize],
                words: first.and_then(|socket| words(socket, verdict, charset)),
            }
        };
        Self {
            held: held(looked_at()),
            sites: sites(looked_at()),
            reasons: Verdict::ALL.into_iter().filter(|v| counts[*v as usize] > 0).map(reason).collect(),
            listed,
            all_counted,
            sockets: sockets.iter().copied().take(LISTED).collect(),
            key: Some(key),
        }
    }
}

/// The evidence of one verdict.
fn words(socket: &Socket, verdict: Verdict, charset: Charset) -> Option<String> {
    evidence(socket, charset.glyphs()).into_iter().find(|fact| fact.verdict == verdict).map(|fact| fact.words)
}

/// The first `most` sockets of a row, how many were found, and whether that is all. Rows that no list is kept for are
/// looked for among the worst sockets only.
fn sockets_of(key: &RowKey, data: &Data, most: usize) -> (Vec<u32>, u64, Counted) {
    let (lens, facts) = (data.lens(), &data.facts);
    let owned = |at: &u32| data.snapshot.sockets.get(*at as usize).is_some_and(|socket| key.owns(socket, lens));
    let mut counted = Counted::All;
    let found: Vec<u32> = match key {
        RowKey::Callsite(id) => facts.sockets_of(*id).to_vec(),
        RowKey::Process(pid) => facts.sockets_held_by(*pid).to_vec(),
        RowKey::Peer(name) | RowKey::Host(name) => facts.sockets_with(name).iter().copied().filter(owned).collect(),
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
pub fn all_sockets_of<'a>(key: &RowKey, data: &'a Data) -> Vec<&'a Socket> {
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
    use leaktrace_model::snapshot::{Holder, Snapshot};
    use std::sync::Arc;

    #[test]
    fn the_evidence_is_that_of_the_worst_socket_and_holders_come_most_first() {
        let socket = |cookie, pid, verdicts: &[&str], state_s| Socket {
            cookie: Some(cookie),
            callsite: Some(1),
            holders: vec![Holder { pid, comm: "api".to_owned(), fd: cookie as u32 }],
            verdicts: verdicts.iter().map(|v| (*v).to_owned()).collect(),
            state_s: Some(state_s),
            ..Socket::default()
        };
        let sockets =
            vec![socket(5, 2, &["close-wait"], 600.0), socket(6, 3, &["close-wait"], 60.0), socket(7, 3, &[], 1.0)];
        let data = Data::of(Arc::new(Snapshot { sockets, ..Snapshot::default() }));
        let mut counts = Counts::default();
        counts[Verdict::CloseWait as usize] = 2;
        let subject = Subject::of(RowKey::Callsite(1), &counts, &data, Charset::Unicode);
        assert_eq!(subject.held.iter().map(|h| (h.pid, h.count)).collect::<Vec<_>>(), [(3, 2), (2, 1)]);
        assert_eq!(subject.reasons.len(), 1);
        assert!(subject.reasons[0].words.as_deref().unwrap().contains("10m"), "{:?}", subject.reasons);
        assert_eq!((subject.listed, subject.sockets.len()), (3, 3));
    }
}
