//! The kernel side's call sites as user space keeps up with them: new ones, gone ones, and the free pool.

use super::stacks::StackReader;
use super::{
    error::StartError,
    load::{CallsitePool, Callsites, StackSample, Stacks},
    mapped::{MappedArray, take_map_data},
};
use crate::{
    sample::{CallsiteStack, Sample},
    snapshot::{Degradation, NOT_SAMPLED as NOT_SAMPLED_WORDS, StackQuality},
    units::format_count,
};
use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData},
};
use leaktrace_common::{CallsiteCounters, CallsiteKey, Direction, MAX_CALLSITES, NOT_SAMPLED, StackEntry};
use std::{
    collections::{BTreeMap, VecDeque},
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

/// How many unused call sites of dead processes are given back in one sample.
const MOST_GIVEN_BACK: usize = 1024;

/// Stacks placed before the hooks' buffer is emptied again.
const PLACED_AT_ONCE: usize = 4;

/// Longest time that placing may keep a sample waiting; what is left is placed after it.
const LONGEST_PLACING: Duration = Duration::from_millis(500);

/// The table.
pub struct CallsiteTable {
    counters: Callsites,
    stacks: Array<MapData, PodStack>,
    captured: Stacks,
    index: HashMap<MapData, PodKey, u32>,
    fine: HashMap<MapData, u32, u32>,
    pool: CallsitePool,
    known: BTreeMap<u32, CallsiteKey>,
    placed: BTreeMap<u32, (CallsiteKey, CallsiteStack)>,
    /// Call sites whose stack copy waits to be placed.
    arrived: VecDeque<u32>,
}

impl CallsiteTable {
    /// Takes the maps out of the loaded object and fills the pool.
    pub fn new(ebpf: &mut Ebpf, captured: Stacks) -> Result<Self, StartError> {
        let internal = |error: aya::maps::MapError| StartError::internal(&error);
        let counters = MappedArray::new(take_map_data(ebpf, "CALLSITES").map_err(internal)?, MAX_CALLSITES as usize)
            .map_err(|error| StartError::internal(&error))?;
        let stacks = Map::Array(take_map_data(ebpf, "STACKS").map_err(internal)?);
        let index = Map::HashMap(take_map_data(ebpf, "CALLSITE_INDEX").map_err(internal)?);
        let fine = Map::HashMap(take_map_data(ebpf, "FINE_CALLSITES").map_err(internal)?);
        let mut pool = CallsitePool::new(ebpf)?;
        pool.top_up(0);
        Ok(Self {
            counters,
            stacks: Array::try_from(stacks).map_err(internal)?,
            captured,
            index: HashMap::try_from(index).map_err(internal)?,
            fine: HashMap::try_from(fine).map_err(internal)?,
            pool,
            known: BTreeMap::new(),
            placed: BTreeMap::new(),
            arrived: VecDeque::new(),
        })
    }

    /// Places the stacks of call sites that have come up since the last call, so that a process which ends before the next
    /// sample has names too. Costs nothing when there are none.
    pub fn place_new(&mut self, stacks: &mut StackReader) -> Result<(), StartError> {
        let started = Instant::now();
        self.arrived.extend(stacks.receive());
        while !self.arrived.is_empty() && started.elapsed() < LONGEST_PLACING {
            let batch: Vec<u32> = self.arrived.drain(..self.arrived.len().min(PLACED_AT_ONCE)).collect();
            let mut fresh: Vec<(u32, CallsiteKey, StackEntry)> = Vec::new();
            // A sample may have placed it meanwhile, or two processors copied one stack: placing it again without its copy
            // would put a worse stack in the place of a good one.
            for index in batch.into_iter().filter(|index| stacks.has_copy(*index)) {
                if fresh.iter().all(|(taken, ..)| *taken != index)
                    && let Some(site) = self.counters.get(index as usize)
                    && site.key.tgid != 0
                {
                    fresh.push((index, site.key, self.stack(index)?));
                }
            }
            for (stack, key) in stacks.read(fresh.clone()).into_iter().zip(fresh.iter().map(|(_, key, _)| *key)) {
                self.placed.insert(stack.callsite, (key, stack));
            }
            // Placing takes its time; meanwhile the hooks' buffer must not run full.
            self.arrived.extend(stacks.receive());
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
        let reason = Some(format!("{NOT_SAMPLED_WORDS} (1 in {})", format_count(one_in.get().into())));
        Some(CallsiteStack { callsite, locations: Vec::new(), quality: StackQuality::Missing, reason })
    }

    /// Says that stacks were left out, once some were.
    pub fn degradation(&self, sample: &Sample) -> Option<Degradation> {
        let Stacks::Sample(StackSample { one_in, above_per_s }) = self.captured else { return None };
        sample.callsites.iter().find(|(_, site)| site.key.stack_hash == NOT_SAMPLED)?;
        let (one_in, above) = (format_count(one_in.get().into()), format_count(above_per_s.into()));
        let reason = format!(
            "1 in {one_in} was captured of processes that opened more than {above} sockets a second, as --stack-sample \
             asks: their other opens are at call sites without a stack"
        );
        Some(Degradation { feature: "stacks".to_owned(), reason })
    }

    fn stack(&self, index: u32) -> Result<StackEntry, StartError> {
        self.stacks.get(&index, 0).map(|entry| entry.0).map_err(|error| StartError::internal(&error))
    }

    /// Copies counters and new stacks into a sample, then gives back what nothing can refer to any more.
    pub fn collect(&mut self, sample: &mut Sample, stacks: &mut StackReader) -> Result<(), StartError> {
        self.place_new(stacks)?;
        let mut placed = std::mem::take(&mut self.placed);
        let mut unused = Vec::new();
        let mut fresh = Vec::new();
        for index in 0..self.pool.high_water() {
            let Some(site) = self.counters.get(index as usize) else { break };
            if site.key.tgid == 0 && index != 0 {
                continue;
            }
            if index != 0 && self.known.get(&index) != Some(&site.key) {
                self.known.insert(index, site.key);
                match placed.remove(&index) {
                    Some((key, stack)) if key == site.key => sample.stacks.push(stack),
                    _ if site.key.stack_hash == NOT_SAMPLED => sample.stacks.extend(self.not_sampled(index)),
                    _ if self.has_word_on(&site.key) => fresh.push((index, site.key, self.stack(index)?)),
                    _ => {}
                }
            }
            if index != 0 && site.opened == site.closed && unused.len() < MOST_GIVEN_BACK && is_gone(site.key.tgid) {
                unused.push((index, site.key));
            }
            sample.callsites.push((index, site));
        }
        // Copies that came late, for call sites that were told of without.
        let late = placed.into_iter().filter(|(index, (key, _))| self.known.get(index) == Some(key));
        sample.stacks.extend(late.map(|(_, (_, stack))| stack));
        for batch in fresh.chunks(PLACED_AT_ONCE) {
            sample.stacks.extend(stacks.read(batch.to_vec()));
            self.arrived.extend(stacks.receive());
        }
        for (index, key) in unused {
            // The process is gone, so no hook can run for this key: nothing will use the index in between.
            if self.index.remove(&PodKey(key)).is_ok() {
                self.counters.set(index as usize, CallsiteCounters::new_zeroed());
                self.known.remove(&index);
                // Gone already if the process had another call site.
                let _ = self.fine.remove(&key.tgid);
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
