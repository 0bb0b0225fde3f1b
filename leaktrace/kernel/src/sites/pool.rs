//! The indexes of call sites that are free. The kernel side takes one for each new call site and cannot take one back.

use crate::{error::StartError, maps::take_map_data};
use aya::{
    Ebpf,
    maps::{Map, MapData, Queue},
};
use leaktrace_common::MAX_CALLSITES;

/// How many free indexes are kept in the queue.
const READY: u32 = 4096;

/// The indexes that are free, and the queue from which the kernel side takes them.
pub(super) struct CallsitePool {
    free: Queue<MapData, u32>,
    /// Indexes from this one on were never used.
    unused: u32,
    /// Freed indexes that are not in the queue yet.
    returned: Vec<u32>,
}

impl CallsitePool {
    /// Takes the queue out of the loaded object.
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, StartError> {
        let data = take_map_data(ebpf, "FREE_CALLSITES").map_err(|error| StartError::internal(&error))?;
        let free = Queue::try_from(Map::Queue(data)).map_err(|error| StartError::internal(&error))?;
        Ok(Self { free, unused: 1, returned: Vec::new() })
    }

    /// The first index that was never used.
    pub(super) fn high_water(&self) -> u32 {
        self.unused
    }

    /// Frees the index of a call site that is no longer used.
    pub(super) fn give_back(&mut self, index: u32) {
        self.returned.push(index);
    }

    /// Fills the queue so that it has about [`READY`] indexes, if `in_use` indexes are in use.
    pub(super) fn top_up(&mut self, in_use: u32) {
        let mut ready = self.unused.saturating_sub(1 + in_use + self.returned.len() as u32);
        while ready < READY {
            let index = match self.returned.pop() {
                Some(index) => index,
                None if self.unused < MAX_CALLSITES => {
                    self.unused += 1;
                    self.unused - 1
                }
                None => return,
            };
            if self.free.push(index, 0).is_err() {
                self.returned.push(index);
                return;
            }
            ready += 1;
        }
    }
}
