//! Counters that each processor keeps for itself, lent to the call sites that open the most: one counter for all would wander from
//! processor to processor with every connection.

use super::{error::StartError, mapped::take_map_data};
use aya::{
    Ebpf,
    maps::{Map, MapData, MapError, PerCpuArray, PerCpuValues},
    util::nr_cpus,
};
use leaktrace_common::{MAX_TALLIES, Tally};
use std::{collections::BTreeMap, time::Instant};
use zerocopy::FromZeros;

/// Sockets a second from which a call site is worth it.
const WORTH_PER_S: f64 = 1000.0;

/// A tally that aya may copy out of the kernel.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct PodTally(Tally);
// SAFETY: Tally is plain data without padding, as its derives prove.
unsafe impl aya::Pod for PodTally {}

/// Who has which.
pub struct Tallies {
    kept: PerCpuArray<MapData, PodTally>,
    processors: usize,
    free: Vec<u32>,
    /// What call sites without one had opened at the last look.
    opened: BTreeMap<u32, u64>,
    looked: Instant,
    /// Between the last two looks.
    span_s: f64,
}

impl Tallies {
    /// Takes the map out of the loaded object.
    ///
    /// # Errors
    /// When it is not there, or nobody says how many processors there are.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self, StartError> {
        let kept = Map::PerCpuArray(take_map_data(ebpf, "TALLIES").map_err(|error| StartError::internal(&error))?);
        let processors = nr_cpus().map_err(|(_, error)| StartError::internal(&error))?;
        // One processor shares with nobody.
        let free = if processors > 1 { (1..MAX_TALLIES).collect() } else { Vec::new() };
        Ok(Self {
            kept: PerCpuArray::try_from(kept).map_err(|error| StartError::internal(&error))?,
            processors,
            free,
            opened: BTreeMap::new(),
            looked: Instant::now(),
            span_s: 0.0,
        })
    }

    /// Begins a look at all call sites.
    pub fn begin(&mut self) {
        let now = Instant::now();
        self.span_s = (now - self.looked).as_secs_f64();
        self.looked = now;
    }

    /// The tallies for a call site without any that has opened so many sockets by now; 0 where it is not worth it, or none is left.
    pub fn lend(&mut self, callsite: u32, opened: u64) -> u32 {
        let before = self.opened.insert(callsite, opened).unwrap_or(0);
        if is_worth_it(before, opened, self.span_s) { self.take_for(callsite) } else { 0 }
    }

    /// The same between two looks, of what it has opened since the last.
    pub fn lend_early(&mut self, callsite: u32, opened: u64) -> u32 {
        let before = self.opened.get(&callsite).copied().unwrap_or(0);
        if is_worth_it(before, opened, self.looked.elapsed().as_secs_f64()) { self.take_for(callsite) } else { 0 }
    }

    fn take_for(&mut self, callsite: u32) -> u32 {
        let Some(tallies) = self.free.pop() else { return 0 };
        self.opened.remove(&callsite);
        tallies
    }

    /// What all processors have counted.
    ///
    /// # Errors
    /// When the kernel does not give them.
    pub fn sum(&self, tallies: u32) -> Result<Tally, MapError> {
        let mut sum = Tally::new_zeroed();
        for PodTally(own) in self.kept.get(&tallies, 0)?.iter() {
            sum.add(own);
        }
        Ok(sum)
    }

    /// Takes back those of a call site that nothing refers to any more; 0 if it had none.
    ///
    /// # Errors
    /// When the kernel does not clear them.
    pub fn give_back(&mut self, callsite: u32, tallies: u32) -> Result<(), MapError> {
        self.opened.remove(&callsite);
        if tallies == 0 {
            return Ok(());
        }
        let zeroes = PerCpuValues::try_from(vec![PodTally(Tally::new_zeroed()); self.processors])?;
        self.kept.set(tallies, zeroes, 0)?;
        self.free.push(tallies);
        Ok(())
    }
}

fn is_worth_it(before: u64, opened: u64, span_s: f64) -> bool {
    opened.wrapping_sub(before) as i64 as f64 >= WORTH_PER_S * span_s
}
