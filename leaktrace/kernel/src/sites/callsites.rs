//! The table of call sites: finding new ones, reading counters, and freeing those that no process can use any more.

use super::{
    cpu_counters::CpuCounters,
    pool::CallsitePool,
    stacks::{CapturedSite, StackReader},
};
use crate::{
    error::StartError,
    maps::{MappedArray, map_array, take_map_data},
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

/// Most call sites of processes that are gone that one sample frees.
const MOST_FREED: usize = 1024;

/// Most stacks that are placed between two checks of the time.
const PLACED_AT_ONCE: usize = 16;

/// Longest time that one call places stacks. The rest waits for the next call, or for the sample that reports its call site.
const LONGEST_PLACING: Duration = Duration::from_millis(500);

/// The table of call sites.
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
    /// Stacks placed since the last sample.
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

    /// Places the stacks of new call sites, so that a process that ends before the next sample has names too. Costs nothing if there are
    /// none.
    ///
    /// Only stacks with a copy are placed here. If a sample placed a stack without its copy, because the copy came later, the stack is
    /// placed here again.
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
                // Since the stack was copied, the index may have been freed and taken by another process.
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

    /// Whether the hooks have written a stack, or why there is none.
    fn has_stack_entry(&self, key: &CallsiteKey) -> bool {
        let is_witnessed = key.direction != u32::from(Direction::Unknown.raw());
        key.stack_hash != 0 || (is_witnessed && self.captured != Stacks::Off)
    }

    /// The entry for a call site whose stack was not sampled.
    fn not_sampled(&self, callsite: u32) -> Option<CallsiteStack> {
        let Stacks::Sample(StackSample { one_in, .. }) = self.captured else { return None };
        let reason = Some(StackReason::NotSampled { one_in });
        Some(CallsiteStack { callsite, locations: Vec::new(), quality: StackQuality::Missing, reason })
    }

    /// The degradation of sampled stacks, if any stack in the sample was left out.
    pub(crate) fn degradation(&self, sample: &Sample) -> Option<Degradation> {
        let Stacks::Sample(StackSample { one_in, above_per_s }) = self.captured else { return None };
        sample.callsites.iter().find(|(_, site)| site.key.stack_hash == NOT_SAMPLED)?;
        Some(Degradation::StacksSampled { one_in, above_per_s })
    }

    fn new_site(&self, callsite: u32, copy: Option<Box<StackCapture>>) -> Result<CapturedSite, StartError> {
        let PodStack(entry) = self.stacks.get(&callsite, 0).map_err(|error| StartError::internal(&error))?;
        Ok(CapturedSite { callsite, entry, copy })
    }

    /// Adds the counters on each processor, or assigns such counters if the call site opens many sockets.
    fn add_cpu_counters(&mut self, index: u32, site: &mut CallsiteCounters) -> Result<(), StartError> {
        if site.cpu_counters == 0 {
            // Sockets without a direction were adopted. No hook opens sockets there.
            if Direction::from_raw(site.key.direction as u8) != Direction::Unknown {
                let counters = self.cpu_counters.assign(index, site.counts.opened);
                self.set_counters(index, counters);
            }
            return Ok(());
        }
        let sum = self.cpu_counters.sum(site.cpu_counters as u32).map_err(|error| StartError::internal(&error))?;
        site.counts.add(&sum);
        Ok(())
    }

    /// Assigns counters on each processor between two samples, if the call site opens many sockets.
    fn assign_counters(&mut self, index: u32) {
        if let Some(site) = self.counters.get(index as usize)
            && site.key.tgid != 0
            && site.cpu_counters == 0
        {
            let counters = self.cpu_counters.assign_early(index, site.counts.opened);
            self.set_counters(index, counters);
        }
    }

    fn set_counters(&self, index: u32, counters: u32) {
        if counters != 0 {
            self.counters.write(index as usize, offset_of!(CallsiteCounters, cpu_counters), u64::from(counters));
        }
    }

    /// Marks all sums as belonging to no pass. Must be called when pass numbers start again: a call site without sockets keeps its old
    /// sums, and they would count again in the pass with the same number.
    pub(crate) fn forget_sums(&self) {
        const AT: usize = offset_of!(CallsiteCounters, sums);
        const { assert!(offset_of!(PassSums, pass) == 0) };
        for index in 0..self.pool.high_water() {
            self.counters.write(index as usize, AT, 0);
        }
    }

    /// Copies counters and new stacks into a sample, then frees the call sites that no process can use any more.
    pub(crate) fn collect(&mut self, sample: &mut Sample, stacks: &mut StackReader) -> Result<(), StartError> {
        self.place_new(stacks)?;
        let mut placed = std::mem::take(&mut self.placed);
        let mut unused = Vec::new();
        let mut fresh: BTreeMap<u32, Vec<(u32, CallsiteKey)>> = BTreeMap::new();
        self.cpu_counters.begin_check();
        for index in 0..self.pool.high_water() {
            // Most entries are unused, and an entry has 512 bytes.
            if index != 0 && self.counters.first::<CallsiteKey>(index as usize).is_none_or(|key| key.tgid == 0) {
                continue;
            }
            let Some(mut site) = self.counters.get(index as usize) else { break };
            if index != 0 && self.known.get(&index) != Some(&site.key) {
                self.known.insert(index, site.key);
                match placed.remove(&index) {
                    Some((key, stack)) if key == site.key => sample.stacks.push(stack),
                    _ if site.key.stack_hash == NOT_SAMPLED => sample.stacks.extend(self.not_sampled(index)),
                    _ if self.has_stack_entry(&site.key) => {
                        fresh.entry(site.key.tgid).or_default().push((index, site.key))
                    }
                    _ => {}
                }
            }
            self.add_cpu_counters(index, &mut site)?;
            if index != 0
                && site.counts.opened == site.counts.closed()
                && unused.len() < MOST_FREED
                && is_gone(site.key.tgid)
            {
                unused.push((index, site.key, site.cpu_counters as u32));
            }
            sample.callsites.push((index, rows::site_counters(&site, sample.at.boot_ns)));
        }
        // Stacks whose copy came after a sample had reported the call site.
        let late = placed.into_iter().filter(|(index, (key, _))| self.known.get(index) == Some(key));
        sample.stacks.extend(late.map(|(_, (_, stack))| stack));
        for (tgid, sites) in fresh {
            let sites = sites.into_iter().map(|(index, key)| self.new_site(index, stacks.take_copy(index, &key)));
            let sites = sites.collect::<Result<Vec<CapturedSite>, StartError>>()?;
            sample.stacks.extend(stacks.place_all(tgid, &sites));
        }
        for (index, key, counters) in unused {
            // The process is gone, so no hook runs for this key, and the index is not used between these steps.
            if self.index.remove(&PodKey(key)).is_ok() {
                self.counters.set(index as usize, CallsiteCounters::new_zeroed());
                self.cpu_counters.give_back(index, counters).map_err(|error| StartError::internal(&error))?;
                self.known.remove(&index);
                // Fails if another call site of the process has removed it.
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
