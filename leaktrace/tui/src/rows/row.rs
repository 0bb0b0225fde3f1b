//! What the four tables have in common: a row's identity, its verdicts, where a filter may look.

use crate::rows::lens::Lens;
use crate::rows::row_key::RowKey;
use crate::rows::search::{Field, Search, Term};
use crate::rows::view_kind::{Grouping, Opened};
use leaktrace_model::{Callsite, Direction, Group, Process, Socket, VerdictCounts};

/// One kind of row.
pub(crate) trait Row: Sized + 'static {
    /// Its identity among rows of the same grouping.
    fn key(&self, grouping: Grouping) -> RowKey;

    /// Whether it is that row; no allocation.
    fn is(&self, key: &RowKey, grouping: Grouping) -> bool;

    /// Its sockets by verdict; `at` is its index in the snapshot's list.
    fn counts(&self, at: usize, lens: Lens<'_>) -> VerdictCounts;

    /// Which end opened, where it has a direction.
    fn direction(&self) -> Option<Direction>;

    /// Whether the number of its sockets grows.
    fn growing(&self) -> bool;

    /// Whether that process has to do with it.
    fn has_pid(&self, pid: u32) -> bool;

    /// Whether `probe` says yes to any text of the row in the fields that `wanted` covers, its direction aside.
    fn any_text(&self, lens: Lens<'_>, wanted: Field, probe: &mut dyn FnMut(&str) -> bool) -> bool;

    /// Whether the row passes the filter, where its sockets were opened by that end.
    fn passes(&self, search: &Search, opened: Option<Opened>, lens: Lens<'_>) -> bool {
        search.matches(|term: &Term| {
            let by_pid = term.field.covers(Field::Process) && term.pid.is_some_and(|pid| self.has_pid(pid));
            by_pid
                || (term.field == Field::Any && opened.is_some_and(|opened| term.is_in(opened.name())))
                || self.any_text(lens, term.field, &mut |text| term.is_in(text))
        })
    }
}

fn any_container(process: &Process, probe: &mut dyn FnMut(&str) -> bool) -> bool {
    [&process.container, &process.pod, &process.unit, &process.cgroup].into_iter().flatten().any(|text| probe(text))
}

fn any_verdict(counts: &VerdictCounts, growing: bool, probe: &mut dyn FnMut(&str) -> bool) -> bool {
    counts.iter().any(|(verdict, _)| probe(verdict.name())) || (growing && probe("growing"))
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

    fn growing(&self) -> bool {
        self.is_growing()
    }

    fn has_pid(&self, pid: u32) -> bool {
        self.pids.contains(&pid)
    }

    fn any_text(&self, lens: Lens<'_>, wanted: Field, probe: &mut dyn FnMut(&str) -> bool) -> bool {
        let mut frames = self.stack.iter().flat_map(|f| [&f.symbol, &f.file, &f.module]).flatten();
        let mut processes = self.pids.iter().filter_map(|pid| lens.process(*pid));
        (wanted.covers(Field::Process) && (probe(&self.comm) || self.exe.as_deref().is_some_and(&mut *probe)))
            || (wanted.covers(Field::Symbol) && frames.any(|text| probe(text)))
            || (wanted.covers(Field::Peer) && self.peers.iter().any(|peer| probe(&peer.peer.to_string())))
            || (wanted.covers(Field::Verdict) && any_verdict(&self.sums.verdicts, self.growing(), probe))
            || (wanted.covers(Field::Container) && processes.any(|process| any_container(process, probe)))
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

    fn growing(&self) -> bool {
        false
    }

    fn has_pid(&self, pid: u32) -> bool {
        self.pid == pid
    }

    fn any_text(&self, lens: Lens<'_>, wanted: Field, probe: &mut dyn FnMut(&str) -> bool) -> bool {
        let counts = || lens.index.process(self.pid).map(|at| self.counts(at, lens)).unwrap_or_default();
        (wanted.covers(Field::Process) && (probe(&self.comm) || self.exe.as_deref().is_some_and(&mut *probe)))
            || (wanted.covers(Field::Container) && any_container(self, probe))
            || (wanted.covers(Field::Verdict) && any_verdict(&counts(), false, probe))
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

    fn growing(&self) -> bool {
        self.is_growing()
    }

    fn has_pid(&self, _pid: u32) -> bool {
        false
    }

    fn any_text(&self, _lens: Lens<'_>, wanted: Field, probe: &mut dyn FnMut(&str) -> bool) -> bool {
        (wanted.covers(Field::Peer) && probe(&self.key.to_string()))
            || (wanted.covers(Field::Verdict) && any_verdict(&self.sums.verdicts, self.growing(), probe))
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

    fn growing(&self) -> bool {
        false
    }

    fn has_pid(&self, pid: u32) -> bool {
        self.opener.is_some_and(|opener| opener.pid == pid) || self.holders.iter().any(|holder| holder.pid == pid)
    }

    fn any_text(&self, lens: Lens<'_>, wanted: Field, probe: &mut dyn FnMut(&str) -> bool) -> bool {
        let observed = &self.observed;
        let site = || self.callsite.and_then(|id| lens.callsite(id));
        (wanted.covers(Field::Process)
            && (self.opener.is_some_and(|opener| probe(&opener.comm.text()))
                || self.holders.iter().any(|holder| probe(&holder.comm))))
            || (wanted.covers(Field::Peer)
                && [observed.remote, observed.local].iter().any(|address| probe(&address.to_string())))
            || (wanted.covers(Field::State) && probe(observed.state.name()))
            || (wanted.covers(Field::Verdict) && observed.verdicts.iter().any(|verdict| probe(verdict.name())))
            || (wanted.covers(Field::Container) && self.container.as_deref().is_some_and(&mut *probe))
            || (wanted.covers(Field::Symbol) && site().is_some_and(|site| site.any_text(lens, Field::Symbol, probe)))
    }
}
