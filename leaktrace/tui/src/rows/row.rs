//! What the rows of the four tables have in common: an identity, verdicts, texts that a search finds.

use crate::rows::lens::Lens;
use crate::rows::row_key::RowKey;
use crate::rows::search::{Field, Search, Term};
use crate::rows::view_kind::{Grouping, Opened};
use leaktrace_model::{Callsite, Direction, Group, Process, Socket, VerdictCounts};

/// One kind of row.
pub(crate) trait Row: Sized + 'static {
    /// Its identity among rows of the same grouping.
    fn key(&self, grouping: Grouping) -> RowKey;

    /// Whether it is that row, without an allocation.
    fn is(&self, key: &RowKey, grouping: Grouping) -> bool;

    /// Its sockets by verdict; `at` is its index in the snapshot's list.
    fn counts(&self, at: usize, lens: Lens<'_>) -> VerdictCounts;

    /// Which end opened, where it has a direction.
    fn direction(&self) -> Option<Direction>;

    /// Whether that process opened or holds its sockets.
    fn has_pid(&self, pid: u32) -> bool;

    /// Whether a word is in any text of the row in the fields that `wanted` covers. The direction is not among the texts.
    fn any_text(&self, lens: Lens<'_>, wanted: Field, term: &Term) -> bool;

    /// Whether a search finds the row. `opened`: which end opened its sockets.
    fn passes(&self, search: &Search, opened: Option<Opened>, lens: Lens<'_>) -> bool {
        search.matches(|term: &Term| {
            let by_pid = term.field.covers(Field::Process) && term.pid.is_some_and(|pid| self.has_pid(pid));
            by_pid
                || (term.field == Field::Any && opened.is_some_and(|opened| term.is_in(opened.name())))
                || self.any_text(lens, term.field, term)
        })
    }
}

fn any_container(process: &Process, term: &Term) -> bool {
    [&process.container, &process.pod, &process.unit, &process.cgroup]
        .into_iter()
        .flatten()
        .any(|text| term.is_in(text))
}

fn any_verdict(counts: &VerdictCounts, growing: bool, term: &Term) -> bool {
    counts.iter().any(|(verdict, _)| term.is_in(verdict.name())) || (growing && term.is_in("growing"))
}

impl Row for Callsite {
    fn key(&self, grouping: Grouping) -> RowKey {
        match grouping {
            Grouping::Comm => RowKey::Comm(self.comm.clone()),
            _ => RowKey::Callsite(self.id),
        }
    }

    fn is(&self, key: &RowKey, grouping: Grouping) -> bool {
        match key {
            RowKey::Comm(comm) => grouping == Grouping::Comm && *comm == self.comm,
            RowKey::Callsite(id) => grouping != Grouping::Comm && *id == self.id,
            _ => false,
        }
    }

    fn counts(&self, _at: usize, _lens: Lens<'_>) -> VerdictCounts {
        self.sums.verdicts
    }

    fn direction(&self) -> Option<Direction> {
        Some(self.direction)
    }

    fn has_pid(&self, pid: u32) -> bool {
        self.pids.contains(&pid)
    }

    fn any_text(&self, lens: Lens<'_>, wanted: Field, term: &Term) -> bool {
        let mut frames = self.stack.iter().flat_map(|f| [&f.symbol, &f.file, &f.module]).flatten();
        let mut processes = self.pids.iter().filter_map(|pid| lens.process(*pid));
        (wanted.covers(Field::Process)
            && (term.is_in(&self.comm) || self.exe.as_deref().is_some_and(|text| term.is_in(text))))
            || (wanted.covers(Field::Symbol) && frames.any(|text| term.is_in(text)))
            || (wanted.covers(Field::Peer) && self.peers.iter().any(|peer| term.is_in_address(peer.peer)))
            || (wanted.covers(Field::Verdict) && any_verdict(&self.sums.verdicts, self.is_growing(), term))
            || (wanted.covers(Field::Container) && processes.any(|process| any_container(process, term)))
    }
}

impl Row for Process {
    fn key(&self, grouping: Grouping) -> RowKey {
        match grouping {
            Grouping::Comm => RowKey::Comm(self.comm.clone()),
            Grouping::Container => RowKey::Container(self.container.clone()),
            Grouping::Unit => RowKey::Unit(self.unit.clone()),
            _ => RowKey::Process(self.pid),
        }
    }

    fn is(&self, key: &RowKey, grouping: Grouping) -> bool {
        match key {
            RowKey::Comm(comm) => grouping == Grouping::Comm && *comm == self.comm,
            RowKey::Container(name) => grouping == Grouping::Container && *name == self.container,
            RowKey::Unit(name) => grouping == Grouping::Unit && *name == self.unit,
            RowKey::Process(pid) => grouping == Grouping::Each && *pid == self.pid,
            _ => false,
        }
    }

    fn counts(&self, at: usize, lens: Lens<'_>) -> VerdictCounts {
        lens.index.process_verdicts.get(at).copied().unwrap_or_default()
    }

    fn direction(&self) -> Option<Direction> {
        None
    }

    fn has_pid(&self, pid: u32) -> bool {
        self.pid == pid
    }

    fn any_text(&self, lens: Lens<'_>, wanted: Field, term: &Term) -> bool {
        let counts = || lens.index.process(self.pid).map(|at| self.counts(at, lens)).unwrap_or_default();
        (wanted.covers(Field::Process)
            && (term.is_in(&self.comm) || self.exe.as_deref().is_some_and(|text| term.is_in(text))))
            || (wanted.covers(Field::Container) && any_container(self, term))
            || (wanted.covers(Field::Verdict) && any_verdict(&counts(), false, term))
    }
}

impl Row for Group {
    fn key(&self, grouping: Grouping) -> RowKey {
        match grouping {
            Grouping::Host => RowKey::Host(self.key.ip()),
            _ => RowKey::of_group(self.key),
        }
    }

    fn is(&self, key: &RowKey, grouping: Grouping) -> bool {
        *key == Row::key(self, grouping)
    }

    fn counts(&self, _at: usize, _lens: Lens<'_>) -> VerdictCounts {
        self.sums.verdicts
    }

    fn direction(&self) -> Option<Direction> {
        None
    }

    fn has_pid(&self, _pid: u32) -> bool {
        false
    }

    fn any_text(&self, _lens: Lens<'_>, wanted: Field, term: &Term) -> bool {
        (wanted.covers(Field::Peer) && term.is_in_address(self.key))
            || (wanted.covers(Field::Verdict) && any_verdict(&self.sums.verdicts, self.is_growing(), term))
    }
}

impl Row for Socket {
    fn key(&self, _grouping: Grouping) -> RowKey {
        RowKey::of_one(self)
    }

    fn is(&self, key: &RowKey, _grouping: Grouping) -> bool {
        *key == RowKey::of_one(self)
    }

    fn counts(&self, _at: usize, _lens: Lens<'_>) -> VerdictCounts {
        let mut counts = VerdictCounts::default();
        counts.add(self.observed.verdicts);
        counts
    }

    fn direction(&self) -> Option<Direction> {
        Some(self.observed.direction)
    }

    fn has_pid(&self, pid: u32) -> bool {
        self.opener.is_some_and(|opener| opener.pid == pid) || self.holders.iter().any(|holder| holder.pid == pid)
    }

    fn any_text(&self, lens: Lens<'_>, wanted: Field, term: &Term) -> bool {
        let observed = &self.observed;
        let site = || self.callsite.and_then(|id| lens.callsite(id));
        (wanted.covers(Field::Process)
            && (self.opener.is_some_and(|opener| term.is_in(&opener.comm.text()))
                || self.holders.iter().any(|holder| term.is_in(&holder.comm))))
            || (wanted.covers(Field::Peer)
                && [observed.remote, observed.local].iter().any(|address| term.is_in_address(address)))
            || (wanted.covers(Field::State) && term.is_in(observed.state.name()))
            || (wanted.covers(Field::Verdict) && observed.verdicts.iter().any(|verdict| term.is_in(verdict.name())))
            || (wanted.covers(Field::Container) && self.container.as_deref().is_some_and(|text| term.is_in(text)))
            || (wanted.covers(Field::Symbol) && site().is_some_and(|site| site.any_text(lens, Field::Symbol, term)))
    }
}
