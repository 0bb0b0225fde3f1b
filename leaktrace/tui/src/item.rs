//! What the four tables have in common: a row's identity, its verdicts, where a filter may look.

use super::facts::{Counts, Facts, counts_of};
use super::filter::{Field, Filter, Term};
use super::row_key::{RowKey, host_of};
use super::view_kind::Grouping;
use leaktrace_common::Verdict;
use leaktrace_model::snapshot::{Callsite, Group, Process, Snapshot, Socket};

/// A snapshot with what was derived from it.
#[derive(Clone, Copy, Debug)]
pub struct Lens<'a> {
    /// What is known.
    pub snapshot: &'a Snapshot,
    /// What follows.
    pub facts: &'a Facts,
}

/// One kind of row.
pub trait Item: Sized + 'static {
    /// Its identity among rows of the same grouping.
    fn key(&self, grouping: Grouping) -> RowKey;

    /// Whether it is that row; no allocation.
    fn is(&self, key: &RowKey, grouping: Grouping) -> bool;

    /// Its sockets by verdict; `at` is its index in the snapshot's list.
    fn counts(&self, at: usize, lens: Lens<'_>) -> Counts;

    /// `connect` or `accept`, where it has a direction.
    fn direction(&self) -> Option<&str>;

    /// Whether the number of its sockets grows.
    fn growing(&self) -> bool;

    /// Whether that process has to do with it.
    fn has_pid(&self, pid: u32) -> bool;

    /// Whether `probe` says yes to any text of the row in the fields that `wanted` covers.
    fn any_text(&self, lens: Lens<'_>, wanted: Field, probe: &mut dyn FnMut(&str) -> bool) -> bool;

    /// Whether the row passes the filter.
    fn passes(&self, filter: &Filter, lens: Lens<'_>) -> bool {
        filter.matches(|term: &Term| {
            let by_pid = term.field.covers(Field::Process) && term.pid.is_some_and(|pid| self.has_pid(pid));
            by_pid || self.any_text(lens, term.field, &mut |text| term.is_in(text))
        })
    }
}

fn any_container(lens: Lens<'_>, pid: u32, probe: &mut dyn FnMut(&str) -> bool) -> bool {
    lens.facts
        .process(pid)
        .and_then(|at| lens.snapshot.processes.get(at))
        .is_some_and(|process| process_container(process, probe))
}

fn process_container(process: &Process, probe: &mut dyn FnMut(&str) -> bool) -> bool {
    [&process.container, &process.pod, &process.unit, &process.cgroup].into_iter().flatten().any(|text| probe(text))
}

fn any_verdict(counts: &Counts, growing: bool, probe: &mut dyn FnMut(&str) -> bool) -> bool {
    Verdict::ALL.into_iter().any(|verdict| counts[verdict as usize] > 0 && probe(verdict.name()))
        || (growing && probe("growing"))
}

impl Item for Callsite {
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

    fn counts(&self, _at: usize, _lens: Lens<'_>) -> Counts {
        counts_of(&self.verdicts)
    }

    fn direction(&self) -> Option<&str> {
        Some(&self.direction)
    }

    fn growing(&self) -> bool {
        self.growing == Some(true)
    }

    fn has_pid(&self, pid: u32) -> bool {
        self.pids.contains(&pid)
    }

    fn any_text(&self, lens: Lens<'_>, wanted: Field, probe: &mut dyn FnMut(&str) -> bool) -> bool {
        let mut frames = self.stack.iter().flat_map(|f| [&f.symbol, &f.file, &f.module]).flatten();
        (wanted.covers(Field::Process) && (probe(&self.comm) || self.exe.as_deref().is_some_and(&mut *probe)))
            || (wanted.covers(Field::Symbol) && frames.any(|text| probe(text)))
            || (wanted.covers(Field::Peer) && self.peers.iter().any(|peer| probe(&peer.peer)))
            || (wanted.covers(Field::Verdict) && any_verdict(&counts_of(&self.verdicts), self.growing(), probe))
            || (wanted.covers(Field::Container) && self.pids.iter().any(|pid| any_container(lens, *pid, probe)))
            || (wanted == Field::Any && probe(&self.direction))
    }
}

impl Item for Process {
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

    fn counts(&self, at: usize, lens: Lens<'_>) -> Counts {
        lens.facts.process_verdicts.get(at).copied().unwrap_or_default()
    }

    fn direction(&self) -> Option<&str> {
        None
    }

    fn growing(&self) -> bool {
        false
    }

    fn has_pid(&self, pid: u32) -> bool {
        self.pid == pid
    }

    fn any_text(&self, lens: Lens<'_>, wanted: Field, probe: &mut dyn FnMut(&str) -> bool) -> bool {
        let counts = || lens.facts.process(self.pid).map(|at| self.counts(at, lens)).unwrap_or_default();
        (wanted.covers(Field::Process) && (probe(&self.comm) || self.exe.as_deref().is_some_and(&mut *probe)))
            || (wanted.covers(Field::Container) && process_container(self, probe))
            || (wanted.covers(Field::Verdict) && any_verdict(&counts(), false, probe))
    }
}

impl Item for Group {
    fn key(&self, grouping: Grouping) -> RowKey {
        match grouping {
            Grouping::Host => RowKey::Host(self.name.clone()),
            Grouping::Listener => RowKey::Listener(self.name.clone()),
            _ => RowKey::Peer(self.name.clone()),
        }
    }

    fn is(&self, key: &RowKey, grouping: Grouping) -> bool {
        match key {
            RowKey::Host(name) => grouping == Grouping::Host && *name == self.name,
            RowKey::Listener(name) => grouping == Grouping::Listener && *name == self.name,
            RowKey::Peer(name) => grouping == Grouping::Each && *name == self.name,
            _ => false,
        }
    }

    fn counts(&self, _at: usize, _lens: Lens<'_>) -> Counts {
        counts_of(&self.verdicts)
    }

    fn direction(&self) -> Option<&str> {
        None
    }

    fn growing(&self) -> bool {
        self.growing == Some(true)
    }

    fn has_pid(&self, _pid: u32) -> bool {
        false
    }

    fn any_text(&self, _lens: Lens<'_>, wanted: Field, probe: &mut dyn FnMut(&str) -> bool) -> bool {
        (wanted.covers(Field::Peer) && probe(&self.name))
            || (wanted.covers(Field::Verdict) && any_verdict(&counts_of(&self.verdicts), self.growing(), probe))
    }
}

impl Item for Socket {
    fn key(&self, _grouping: Grouping) -> RowKey {
        match self.cookie {
            Some(cookie) => RowKey::Cookie(cookie),
            None => RowKey::Pair(self.local.clone(), self.remote.clone()),
        }
    }

    fn is(&self, key: &RowKey, _grouping: Grouping) -> bool {
        match key {
            RowKey::Cookie(cookie) => self.cookie == Some(*cookie),
            RowKey::Pair(local, remote) => self.cookie.is_none() && *local == self.local && *remote == self.remote,
            _ => false,
        }
    }

    fn counts(&self, at: usize, lens: Lens<'_>) -> Counts {
        let mut counts = Counts::default();
        for verdict in lens.facts.verdicts.get(at).copied().unwrap_or_default().iter() {
            counts[verdict as usize] = 1;
        }
        counts
    }

    fn direction(&self) -> Option<&str> {
        Some(&self.direction)
    }

    fn growing(&self) -> bool {
        false
    }

    fn has_pid(&self, pid: u32) -> bool {
        self.pid == Some(pid) || self.holders.iter().any(|holder| holder.pid == pid)
    }

    fn any_text(&self, lens: Lens<'_>, wanted: Field, probe: &mut dyn FnMut(&str) -> bool) -> bool {
        let site =
            || self.callsite.and_then(|id| lens.facts.callsite(id)).and_then(|at| lens.snapshot.callsites.get(at));
        let mut names = self.comm.iter().chain(self.holders.iter().map(|holder| &holder.comm));
        (wanted.covers(Field::Process) && names.any(|text| probe(text)))
            || (wanted.covers(Field::Peer) && (probe(&self.remote) || probe(&self.local)))
            || (wanted.covers(Field::State) && probe(&self.state))
            || (wanted.covers(Field::Verdict) && self.verdicts.iter().any(|text| probe(text)))
            || (wanted.covers(Field::Container) && self.container.as_deref().is_some_and(&mut *probe))
            || (wanted.covers(Field::Symbol) && site().is_some_and(|site| site.any_text(lens, Field::Symbol, probe)))
            || (wanted == Field::Any && (probe(&self.direction) || probe(host_of(&self.remote))))
    }
}
