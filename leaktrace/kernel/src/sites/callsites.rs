//! The kernel side's call sites as user space keeps up with them: new ones, gone ones, and the free pool.

use super::{
    cpu_counters::CpuCounters,
    pool::CallsitePool,
    stacks::{CapturedSite, StackReader},
};
use crate::{
    error::StartError,
    passes::mapped::{MappedArray, map_array, take_map_data},
    request::Stacks,
    rows,
};
use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData},
};
use leaktrace_common::{
    CallsiteCounters, CallsiteKey, CopyRate, Direction, MAX_CALLSITES, NOT_SAMPLED, PassSums, StackCapture, StackEntry,
};
use leaktrace_model::{CallsiteStack, Degradation, Sample, StackQuality, StackReason, StackSample};
use std::{
    collections::BTreeMap,
    mem::offset_of,
    path::Path,
    time::{Duration, Instant},
};
use zerocopy::FromZeros;

/// A key that aya may copy out of the kernel.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct PodKey(CallsiteKey);
// SAFETY: CallsiteKey is plain data without padding, as its derives prove.
unsafe impl aya::Pod for PodKey {}

/// A stack that aya may copy out of the kernel.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct PodStack(StackEntry);
// SAFETY: StackEntry is plain data without padding, as its derives prove.
unsafe impl aya::Pod for PodStack {}

/// A rate that aya may copy out of the kernel.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct PodRate(CopyRate);
// SAFETY: CopyRate is plain data without padding, as its derives prove.
unsafe impl aya::Pod for PodRate {}

/// How many unused call sites of dead processes are given back in one sample.
const MOST_GIVEN_BACK: usize = 1024;

/// Most stacks of one process that are placed before the time is looked at.
const PLACED_AT_ONCE: usize = 16;

/// Longest time that placing takes before the watch goes on; what is left waits for the next call, or for the sample that
/// tells of its call site.
const LONGEST_PLACING: Duration = Duration::from_millis(500);

/// The table.
pub(crate) struct CallsiteTable {
    counters: MappedArray<CallsiteCounters>,
    cpu_counters: CpuCounters,
    stacks: Array<MapData, PodStack>,
    captured: Stacks,
    index: HashMap<MapData, PodKey, u32>,
    fine: HashMap<MapData, u32, u32>,
    rates: HashMap<MapData, u32, PodRate>,
    pool: CallsitePool,
    known: BTreeMap<u32, CallsiteKey>,
    /// Placed since the last sample.
    placed: BTreeMap<u32, (CallsiteKey, CallsiteStack)>,
}

impl CallsiteTable {
    /// Takes the maps out of the loaded object and fills the pool.
    pub(crate) fn new(ebpf: &mut Ebpf, captured: Stacks) -> Result<Self, StartError> {
        let internal = |error: aya::maps::MapError| StartError::internal(&error);
        let stacks = Map::Array(take_map_data(ebpf, "STACKS").map_err(internal)?);
        let index = Map::HashMap(take_map_data(ebpf, "CALLSITE_INDEX").map_err(internal)?);
        let fine = Map::HashMap(take_map_data(ebpf, "FINE_CALLSITES").map_err(internal)?);
        let rates = Map::HashMap(take_map_data(ebpf, "COPY_RATES").map_err(internal)?);
        let mut pool = CallsitePool::new(ebpf)?;
        pool.top_up(0);
        Ok(Self {
            counters: map_array(ebpf, "CALLSITES", MAX_CALLSITES as usize)?,
            cpu_counters: CpuCounters::new(ebpf)?,
            stacks: Array::try_from(stacks).map_err(internal)?,
            captured,
            index: HashMap::try_from(index).map_err(internal)?,
            fine: HashMap::try_from(fine).map_err(internal)?,
            rates: HashMap::try_from(rates).map_err(internal)?,
            pool,
            known: BTreeMap::new(),
            placed: BTreeMap::new(),
        })
    }

    /// Places the stacks of call sites that have come up since the last call, so that a process which ends before the next
    /// sample has names too. Costs nothing when there are none.
    ///
    /// Only with a copy in hand: what a sample had to place without one, because the copy was still on its way, is placed
    /// again here, and never the other way round.
    pub(crate) fn place_new(&mut self, stacks: &mut StackReader) -> Result<(), StartError> {
        for index in stacks.take_busy() {
            self.assign_counters(index);
        }
        let started = Instant::now();
        while started.elapsed() < LONGEST_PLACING {
            let copies = stacks.take_copies(PLACED_AT_ONCE);
            let Some(tgid) = copies.first().map(|copy| copy.tgid) else { break };
            let (mut keys, mut sites) = (Vec::new(), Vec::new());
            for copy in copies {
                let callsite = copy.callsite;
                // The index may have been given back, and to another process, since the stack was copied.
                if let Some(site) = self.counters.get(callsite as usize)
                    && site.key.tgid == tgid
                {
                    keys.push(site.key);
                    sites.push(self.new_site(callsite, Some(copy))?);
                }
            }
            for (key, stack) in keys.into_iter().zip(stacks.place_all(tgid, &sites)) {
                self.placed.insert(stack.callsite, (key, stack));
            }
        }
        Ok(())
    }

    /// Whether the hooks have left a stack, or why there is none.
    fn has_word_on(&self, key: &CallsiteKey) -> bool {
        let is_witnessed = key.direction != u32::from(Direction::Unknown.raw());
        key.stack_hash != 0 || (is_witnessed && self.captured != Stacks::Off)
    }

    /// The mark of a call site whose stacks were left out.
    fn not_sampled(&self, callsite: u32) -> Option<CallsiteStack> {
        let Stacks::Sample(StackSample { one_in, .. }) = self.captured else { return None };
        let reason = Some(StackReason::NotSampled { one_in });
        Some(CallsiteStack { callsite, locations: Vec::new(), quality: StackQuality::Missing, reason })
    }

    /// Says that stacks were left out, once some were.
    pub(crate) fn degradation(&self, sample: &Sample) -> Option<Degradation> {
        let Stacks::Sample(StackSample { one_in, above_per_s }) = self.captured else { return None };
        sample.callsites.iter().find(|(_, site)| site.key.stack_hash == NOT_SAMPLED)?;
        Some(Degradation::StacksSampled { one_in, above_per_s })
    }

    fn new_site(&self, callsite: u32, copy: Option<Box<StackCapture>>) -> Result<CapturedSite, StartError> {
        let PodStack(entry) = self.stacks.get(&callsite, 0).map_err(|error| StartError::internal(&error))?;
        Ok(CapturedSite { callsite, entry, copy })
    }

    /// Adds what processors have counted for themselves, or has them do so from now on if the call site opens very many.
    fn add_cpu_counters(&mut self, index: u32, site: &mut CallsiteCounters) -> Result<(), StartError> {
        if site.tallies == 0 {
            // What was adopted was opened once, and elsewhere.
            if Direction::from_raw(site.key.direction as u8) != Direction::Unknown {
                let tallies = self.cpu_counters.assign(index, site.tally.opened);
                self.set_counters(index, tallies);
            }
            return Ok(());
        }
        let sum = self.cpu_counters.sum(site.tallies as u32).map_err(|error| StartError::internal(&error))?;
        site.tally.add(&sum);
        Ok(())
    }

    /// Has processors count for themselves from now on for a call site that has come to open very many between two samples.
    fn assign_counters(&mut self, index: u32) {
        if let Some(site) = self.counters.get(index as usize)
            && site.key.tgid != 0
            && site.tallies == 0
        {
            let tallies = self.cpu_counters.assign_early(index, site.tally.opened);
            self.set_counters(index, tallies);
        }
    }

    fn set_counters(&self, index: u32, tallies: u32) {
        if tallies != 0 {
            self.counters.write(index as usize, offset_of!(CallsiteCounters, tallies), u64::from(tallies));
        }
    }

    /// Makes no sums of passes be of any pass. Passes are told apart by 65,535 numbers, and a call site without sockets keeps its
    /// sums: without this, those would count again when their number comes again.
    pub(crate) fn forget_sums(&self) {
        const AT: usize = offset_of!(CallsiteCounters, sums);
        const { assert!(offset_of!(PassSums, pass) == 0) };
        for index in 0..self.pool.high_water() {
            self.counters.write(index as usize, AT, 0);
        }
    }

    /// Copies counters and new stacks into a sample, then gives back what nothing can refer to any more.
    pub(crate) fn collect(&mut self, sample: &mut Sample, stacks: &mut StackReader) -> Result<(), StartError> {
        self.place_new(stacks)?;
        let mut placed = std::mem::take(&mut self.placed);
        let mut unused = Vec::new();
        let mut fresh: BTreeMap<u32, Vec<(u32, CallsiteKey)>> = BTreeMap::new();
        self.cpu_counters.begin_check();
        for index in 0..self.pool.high_water() {
            // Most are unused, and each has 512 bytes.
            if index != 0 && self.counters.first::<CallsiteKey>(index as usize).is_none_or(|key| key.tgid == 0) {
                continue;
            }
            let Some(mut site) = self.counters.get(index as usize) else { break };
            if index != 0 && self.known.get(&index) != Some(&site.key) {
                self.known.insert(index, site.key);
                match placed.remove(&index) {
                    Some((key, stack)) if key == site.key => sample.stacks.push(stack),
                    _ if site.key.stack_hash == NOT_SAMPLED => sample.stacks.extend(self.not_sampled(index)),
                    _ if self.has_word_on(&site.key) => fresh.entry(site.key.tgid).or_default().push((index, site.key)),
                    _ => {}
                }
            }
            self.add_cpu_counters(index, &mut site)?;
            if index != 0
                && site.tally.opened == site.tally.closed()
                && unused.len() < MOST_GIVEN_BACK
                && is_gone(site.key.tgid)
            {
                unused.push((index, site.key, site.tallies as u32));
            }
            sample.callsites.push((index, rows::site_counters(&site, sample.at.boot_ns)));
        }
        // Copies that came late, for call sites that were told of without.
        let late = placed.into_iter().filter(|(index, (key, _))| self.known.get(index) == Some(key));
        sample.stacks.extend(late.map(|(_, (_, stack))| stack));
        for (tgid, sites) in fresh {
            let sites = sites.into_iter().map(|(index, key)| self.new_site(index, stacks.take_copy(index, &key)));
            let sites = sites.collect::<Result<Vec<CapturedSite>, StartError>>()?;
            sample.stacks.extend(stacks.place_all(tgid, &sites));
        }
        for (index, key, tallies) in unused {
            // The process is gone, so no hook can run for this key: nothing will use the index in between.
            if self.index.remove(&PodKey(key)).is_ok() {
                self.counters.set(index as usize, CallsiteCounters::new_zeroed());
                self.cpu_counters.give_back(index, tallies).map_err(|error| StartError::internal(&error))?;
                self.known.remove(&index);
                // Gone already if the process had another call site.
                let _ = self.fine.remove(&key.tgid);
                let _ = self.rates.remove(&key.tgid);
                self.pool.give_back(index);
            }
        }
        self.pool.top_up(self.known.len() as u32);
        Ok(())
    }
}

fn is_gone(pid: u32) -> bool {
    !Path::new("/proc").join(pid.to_string()).exists()
}
