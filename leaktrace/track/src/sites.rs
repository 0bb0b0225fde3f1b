//! Call sites over time. The kernel side has one for each process and stack; people see one for each program and stack,
//! across processes and after their end.

use crate::{
    growth::{Growth, RECENT, Reading},
    lifetimes::Histogram,
};
use leaktrace_model::{
    CallsiteStack, Direction, Location, Opener, ProcessFacts, Sample, SiteCounters, StackQuality, StackReason,
};
use std::{
    collections::{BTreeSet, HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

/// Most call sites that are kept after their last socket has closed.
const MOST_EMPTY: usize = 16_384;

/// Most processes that are kept for one call site: a shell script starts a new one for each connection.
const MOST_PIDS: usize = 256;

/// The properties of a call site as people see it. Kernel call sites with equal properties belong together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    direction: u8,
    comm: String,
    exe: Option<String>,
    frames: Vec<(Option<u32>, u64)>,
}

/// One call site as people see it.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// Stable within a run.
    pub id: u64,
    /// Which end opened.
    pub direction: Direction,
    /// Process name.
    pub comm: String,
    /// Executable.
    pub exe: Option<String>,
    /// Processes that opened here; only the latest if there are very many.
    pub pids: BTreeSet<u32>,
    /// Leaf first.
    pub stack: Vec<Location>,
    /// How much of the stack is known.
    pub quality: StackQuality,
    /// Why the stack is not complete.
    pub reason: Option<StackReason>,
    /// Counters of kernel call sites whose index was given back.
    pub retired: Counts,
    /// Open sockets over time.
    pub history: Growth,
    /// Time in seconds since which it has no kernel call site.
    empty_since: Option<f64>,
    members: BTreeSet<u32>,
}

impl Site {
    fn remember(&mut self, reading: Reading) {
        self.empty_since = if self.members.is_empty() { self.empty_since.or(Some(reading.seconds)) } else { None };
        if self.empty_since.is_some_and(|since| reading.seconds - since > RECENT) {
            // Nothing can be open any more, so the history ends.
            self.history = Growth::default();
        } else {
            self.history.push(reading);
        }
    }

    fn name_process(&mut self, pid: u32) {
        if self.pids.len() >= MOST_PIDS && !self.pids.contains(&pid) {
            self.pids.pop_first();
        }
        self.pids.insert(pid);
    }
}

/// Sums over kernel call sites.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Sockets opened.
    pub opened: u64,
    /// Sockets closed.
    pub closed: u64,
    /// Lifetimes of closed sockets.
    pub lifetimes: Histogram,
}

impl Counts {
    /// Adds the counters of one kernel call site.
    pub(crate) fn add(&mut self, counters: &SiteCounters) {
        // The kernel side also counts sockets of unknown origin down, maybe below zero for a moment.
        self.opened = self.opened.wrapping_add(counters.opened);
        self.closed = self.closed.wrapping_add(counters.closed);
        self.lifetimes.add(counters);
    }

    fn merge(&mut self, other: &Self) {
        self.opened = self.opened.wrapping_add(other.opened);
        self.closed = self.closed.wrapping_add(other.closed);
        self.lifetimes.merge(&other.lifetimes);
    }

    /// Sockets open now.
    pub(crate) fn open(&self) -> u64 {
        self.opened.saturating_sub(self.closed)
    }
}

/// All call sites.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sites {
    sites: HashMap<u64, Site>,
    by_index: HashMap<u32, (SiteCounters, u64)>,
    /// Call sites that were merged into another one with the same names.
    aliases: HashMap<u64, u64>,
    /// New call sites whose names were not compared yet.
    unnamed: Vec<u64>,
    pass: u32,
}

impl Sites {
    /// Takes in the counters and stacks of a sample.
    pub(crate) fn ingest(&mut self, sample: &Sample, processes: &HashMap<u32, ProcessFacts>) {
        self.pass = u32::from(sample.pass.number);
        let stacks: HashMap<u32, &CallsiteStack> = sample.stacks.iter().map(|stack| (stack.callsite, stack)).collect();
        let present: HashMap<u32, &SiteCounters> =
            sample.callsites.iter().map(|(index, counters)| (*index, counters)).collect();
        let ended: Vec<u32> = self
            .by_index
            .iter()
            .filter(|(index, (known, _))| present.get(index).is_none_or(|now| now.key != known.key))
            .map(|(index, _)| *index)
            .collect();
        for index in ended {
            self.retire(index);
        }
        for (index, counters) in &sample.callsites {
            // When the table is full, passes see sockets of unknown origin that are counted nowhere else.
            let is_used = counters.opened != 0 || self.is_current(counters) || self.by_index.contains_key(index);
            if *index == 0 && !is_used {
                continue;
            }
            if stacks.contains_key(index) {
                self.displace(*index);
            }
            match self.by_index.get_mut(index) {
                Some((known, _)) => *known = *counters,
                None => self.admit(*index, counters, stacks.get(index).copied(), processes.get(&counters.key.pid)),
            }
        }
        self.forget_empty();
    }

    /// Keeps readings of call sites, by id. Without a reading the history is dropped, because later counts would jump.
    pub(crate) fn remember(&mut self, readings: impl IntoIterator<Item = (u64, Option<Reading>)>) {
        for (id, reading) in readings {
            match (self.sites.get_mut(&id), reading) {
                (Some(site), Some(reading)) => site.remember(reading),
                (Some(site), None) => site.history = Growth::default(),
                (None, _) => {}
            }
        }
    }

    fn admit(
        &mut self,
        index: u32,
        counters: &SiteCounters,
        stack: Option<&CallsiteStack>,
        process: Option<&ProcessFacts>,
    ) {
        let thread = counters.comm.text();
        let identity = Identity {
            direction: counters.key.direction.raw(),
            comm: process.map_or_else(|| thread.into_owned(), |facts| facts.comm.clone()),
            exe: process.and_then(|facts| facts.exe.clone()),
            frames: stack.map_or_else(Vec::new, |stack| {
                stack.locations.iter().map(|place| (place.module.map(|module| module.0), place.offset)).collect()
            }),
        };
        let mut hasher = DefaultHasher::new();
        identity.hash(&mut hasher);
        if let Some(stack) = stack.filter(|stack| stack.locations.is_empty()) {
            // A stack that was left out on purpose is not the same as one that is unavailable. The id includes the text
            // of the reason, because a replay has only the text, and ids must stay the same there.
            stack.reason.as_ref().map(StackReason::to_string).hash(&mut hasher);
        }
        // JSON readers keep integers exact up to 2^53.
        let id = hasher.finish() >> 11;
        let id = self.aliases.get(&id).copied().unwrap_or(id);
        if !self.sites.contains_key(&id) {
            self.unnamed.push(id);
        }
        let site = self.sites.entry(id).or_insert_with(|| Site {
            id,
            direction: counters.key.direction,
            comm: identity.comm,
            exe: identity.exe,
            pids: BTreeSet::new(),
            stack: stack.map(|stack| stack.locations.clone()).unwrap_or_default(),
            quality: stack.map(|stack| stack.quality).unwrap_or_default(),
            reason: stack.and_then(|stack| stack.reason.clone()),
            retired: Counts::default(),
            history: Growth::default(),
            empty_since: None,
            members: BTreeSet::new(),
        });
        site.members.insert(index);
        if counters.key.pid != 0 {
            site.name_process(counters.key.pid);
        }
        self.by_index.insert(index, (*counters, id));
    }

    /// Call sites that are new since the last call.
    pub(crate) fn take_unnamed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.unnamed)
    }

    /// Merges two call sites with the same names: the compiler has placed one line of code several times.
    pub(crate) fn unite(&mut self, from: u64, into: u64) {
        if from == into || !self.sites.contains_key(&into) {
            return;
        }
        let Some(gone) = self.sites.remove(&from) else { return };
        for index in &gone.members {
            if let Some((_, id)) = self.by_index.get_mut(index) {
                *id = into;
            }
        }
        if let Some(site) = self.sites.get_mut(&into) {
            site.members.extend(gone.members);
            gone.pids.into_iter().for_each(|pid| site.name_process(pid));
            site.retired.merge(&gone.retired);
            // A new call site had nothing open before, so counts without it stay true. One that was counted for longer
            // would make the sum jump; a single reading is no history to lose.
            if gone.history.readings() > 1 || site.history.readings() <= 1 {
                site.history = Growth::default();
            }
        }
        if self.aliases.len() < MOST_EMPTY {
            self.aliases.insert(from, into);
        }
    }

    /// Removes a kernel call site from its place, because its stack is known better now.
    fn displace(&mut self, index: u32) {
        let Some((_, id)) = self.by_index.remove(&index) else { return };
        if let Some(site) = self.sites.get_mut(&id) {
            site.members.remove(&index);
            if site.members.is_empty() && site.retired == Counts::default() {
                self.sites.remove(&id);
            }
        }
    }

    fn retire(&mut self, index: u32) {
        let Some((counters, id)) = self.by_index.remove(&index) else { return };
        if let Some(site) = self.sites.get_mut(&id) {
            site.members.remove(&index);
            // What was open when the index was given back has been closed since.
            site.retired.add(&SiteCounters { closed: counters.opened, ..counters });
        }
    }

    /// Forgets call sites without open sockets when there are very many.
    fn forget_empty(&mut self) {
        if self.sites.len() > 2 * MOST_EMPTY {
            self.sites.retain(|_, site| !site.members.is_empty());
        }
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Site> {
        self.sites.values()
    }

    /// The call site with this id.
    pub(crate) fn get(&self, id: u64) -> Option<&Site> {
        self.sites.get(&id)
    }

    /// The call site that this one was merged into, or itself.
    pub(crate) fn united(&self, id: u64) -> u64 {
        // Each call site is merged once, into an existing one, so this ends.
        let mut id = id;
        for _ in 0..16 {
            match self.aliases.get(&id) {
                Some(into) => id = *into,
                None => break,
            }
        }
        id
    }

    /// The call site that a kernel index belongs to.
    pub(crate) fn of_index(&self, index: u32) -> Option<&Site> {
        self.by_index.get(&index).and_then(|(_, id)| self.sites.get(id))
    }

    /// The process that a kernel index belongs to; `None` for the unknown call site.
    pub(crate) fn opener(&self, index: u32) -> Option<Opener> {
        let (counters, _) = self.by_index.get(&index)?;
        let is_witnessed = counters.key.direction != Direction::Unknown && counters.key.pid != 0;
        is_witnessed.then_some(Opener { pid: counters.key.pid, comm: counters.comm })
    }

    /// Sums over a call site.
    pub(crate) fn counts(&self, site: &Site) -> Counts {
        let mut counts = site.retired.clone();
        for counters in self.members(site) {
            counts.add(counters);
        }
        counts
    }

    /// The kernel counters that make up a call site.
    pub(crate) fn members<'a>(&'a self, site: &'a Site) -> impl Iterator<Item = &'a SiteCounters> {
        site.members.iter().filter_map(|index| self.by_index.get(index).map(|(counters, _)| counters))
    }

    /// Whether the last pass summed these counters.
    pub(crate) fn is_current(&self, counters: &SiteCounters) -> bool {
        counters.pass == self.pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::{Comm, SiteKey};
    use std::num::NonZeroU32;

    const NOT_SAMPLED: StackReason = StackReason::NotSampled { one_in: NonZeroU32::MIN };

    /// A kernel call site of process 7, with a stack of no frames.
    fn without_stack(callsite: u32, stack_hash: u64, reason: StackReason) -> ((u32, SiteCounters), CallsiteStack) {
        let key = SiteKey { stack_hash, pid: 7, direction: Direction::Connect };
        let counters = SiteCounters { key, opened: 5, ..SiteCounters::default() };
        let stack =
            CallsiteStack { callsite, locations: Vec::new(), quality: StackQuality::Missing, reason: Some(reason) };
        ((callsite, counters), stack)
    }

    #[test]
    fn a_stack_left_out_on_purpose_is_another_call_site_than_one_that_cannot_be_had() {
        let (callsites, stacks) =
            [without_stack(1, 0, StackReason::Unreadable), without_stack(2, 2, NOT_SAMPLED)].into_iter().unzip();
        let mut sites = Sites::default();
        sites.ingest(&Sample { callsites, stacks, ..Sample::default() }, &HashMap::new());
        let mut reasons: Vec<_> =
            sites.iter().filter_map(|site| site.reason.as_ref().map(StackReason::to_string)).collect();
        reasons.sort();
        assert_eq!(reasons, ["not sampled (1 in 1)", "the user stack could not be read"]);
        assert!(sites.iter().all(|site| sites.counts(site).opened == 5));
    }

    /// A sample with call sites of one thread name, one for each process.
    fn of_processes(comm: &str, pids: std::ops::Range<u32>) -> Sample {
        let of_process = |pid| {
            let ((_, mut counters), stack) = without_stack(pid, 0, StackReason::Unreadable);
            (counters.key.pid, counters.comm) = (pid, Comm::new(comm));
            ((pid, counters), stack)
        };
        let (callsites, stacks) = pids.map(of_process).unzip();
        Sample { callsites, stacks, ..Sample::default() }
    }

    #[test]
    fn call_sites_that_become_one_name_no_more_processes_than_others() {
        let mut sites = Sites::default();
        let samples = [of_processes("a", 1000..1200), of_processes("b", 2000..2200)];
        let [mut both, other] = samples;
        both.callsites.extend(other.callsites);
        both.stacks.extend(other.stacks);
        sites.ingest(&both, &HashMap::new());
        let ids: Vec<u64> = sites.iter().map(|site| site.id).collect();
        sites.unite(ids[0], ids[1]);
        assert_eq!(sites.iter().map(|site| site.pids.len()).collect::<Vec<_>>(), [MOST_PIDS]);
    }

    #[test]
    fn a_call_site_without_anything_open_has_no_past_after_a_while() {
        let mut sites = Sites::default();
        let readings = |sites: &Sites| sites.iter().map(|site| site.history.readings()).collect::<Vec<_>>();
        for second in 0..700 {
            let mut sample = of_processes("a", if second < 50 { 1000..1001 } else { 0..0 });
            // A stack comes with the first sample only.
            sample.stacks.retain(|_| second == 0);
            sites.ingest(&sample, &HashMap::new());
            let reading = Reading { seconds: f64::from(second), ..Reading::default() };
            sites.remember(sites.iter().map(|site| (site.id, Some(reading))).collect::<Vec<_>>());
            if second == 100 {
                assert_eq!(readings(&sites), [101]);
            }
        }
        assert_eq!(readings(&sites), [0]);
    }
}
