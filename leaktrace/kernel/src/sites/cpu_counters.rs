//! Counters on each processor, assigned to the call sites that open most sockets. With one counter for all processors, its cache line
//! would move between them at every connection.

use crate::{error::StartError, maps::take_map_data};
use aya::{
    Ebpf,
    maps::{Map, MapData, MapError, PerCpuArray, PerCpuValues},
    util::nr_cpus,
};
use leaktrace_common::{MAX_CPU_COUNTERS, SocketCounts};
use std::{collections::BTreeMap, time::Instant};
use zerocopy::FromZeros;

/// A call site that opens at least this many sockets a second gets counters.
const WORTH_PER_S: f64 = 1000.0;

/// Counters that aya may copy out of the kernel.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct PodCounts(SocketCounts);
// SAFETY: SocketCounts is plain data without padding, as its derives prove.
unsafe impl aya::Pod for PodCounts {}

/// Which call site has which counters.
pub(super) struct CpuCounters {
    kept: PerCpuArray<MapData, PodCounts>,
    processors: usize,
    free: Vec<u32>,
    /// Sockets opened by call sites without counters of their own, at the last check.
    opened: BTreeMap<u32, u64>,
    checked: Instant,
    /// Time between the last two checks.
    span_s: f64,
}

impl CpuCounters {
    /// Takes the map out of the loaded object.
    ///
    /// # Errors
    /// If the map is missing, or the number of processors is unknown.
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, StartError> {
        let kept = Map::PerCpuArray(take_map_data(ebpf, "CPU_COUNTERS").map_err(|error| StartError::internal(&error))?);
        let processors = nr_cpus().map_err(|(_, error)| StartError::internal(&error))?;
        // A single processor shares no counters.
        let free = if processors > 1 { (1..MAX_CPU_COUNTERS).collect() } else { Vec::new() };
        Ok(Self {
            kept: PerCpuArray::try_from(kept).map_err(|error| StartError::internal(&error))?,
            processors,
            free,
            opened: BTreeMap::new(),
            checked: Instant::now(),
            span_s: 0.0,
        })
    }

    /// Begins a check of all call sites.
    pub(super) fn begin_check(&mut self) {
        let now = Instant::now();
        self.span_s = (now - self.checked).as_secs_f64();
        self.checked = now;
    }

    /// Counters for a call site that has none and has opened `opened` sockets; 0 if it is too slow, or none are left.
    pub(super) fn assign(&mut self, callsite: u32, opened: u64) -> u32 {
        let before = self.opened.insert(callsite, opened).unwrap_or(0);
        if is_worth_it(before, opened, self.span_s) { self.take_for(callsite) } else { 0 }
    }

    /// Like [`Self::assign`], between two checks.
    pub(super) fn assign_early(&mut self, callsite: u32, opened: u64) -> u32 {
        let before = self.opened.get(&callsite).copied().unwrap_or(0);
        if is_worth_it(before, opened, self.checked.elapsed().as_secs_f64()) { self.take_for(callsite) } else { 0 }
    }

    fn take_for(&mut self, callsite: u32) -> u32 {
        let Some(index) = self.free.pop() else { return 0 };
        self.opened.remove(&callsite);
        index
    }

    /// The sum over all processors.
    ///
    /// # Errors
    /// If the kernel does not return them.
    pub(super) fn sum(&self, index: u32) -> Result<SocketCounts, MapError> {
        let mut sum = SocketCounts::new_zeroed();
        for PodCounts(own) in self.kept.get(&index, 0)?.iter() {
            sum.add(own);
        }
        Ok(sum)
    }

    /// Takes back the counters of an unused call site; `index` is 0 if it had none.
    ///
    /// # Errors
    /// If the kernel does not clear them.
    pub(super) fn give_back(&mut self, callsite: u32, index: u32) -> Result<(), MapError> {
        self.opened.remove(&callsite);
        if index == 0 {
            return Ok(());
        }
        let zeroes = PerCpuValues::try_from(vec![PodCounts(SocketCounts::new_zeroed()); self.processors])?;
        self.kept.set(index, zeroes, 0)?;
        self.free.push(index);
        Ok(())
    }
}

fn is_worth_it(before: u64, opened: u64, span_s: f64) -> bool {
    opened.wrapping_sub(before) as i64 as f64 >= WORTH_PER_S * span_s
}
