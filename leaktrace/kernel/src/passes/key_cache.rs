//! The keys of all records, while there are few. With them the cost of a pass depends on how many sockets are open, not on the size of
//! the table.
//!
//! The kernel side reports each new key, and passes find out which keys are gone. After a lost report, or with too many keys, the cache is
//! invalid until all keys have been read from the table again.

use crate::{
    error::StartError,
    maps::{MappedArray, map_array, take_map_data},
};
use aya::{
    Ebpf,
    maps::{Map, MapData, RingBuf},
};
use std::mem;
use zerocopy::FromBytes as _;

/// Most keys that are kept. With about as many records, reading the whole table takes as long: an iterator over a map takes 6.5 ms for its
/// million buckets and 0.75 ms for 1,000 records, the cache 1.2 ms for 1,000 records.
const MOST: usize = 12_288;

/// With fewer open sockets than this an invalid cache is filled again. The table may have as many vacant records.
const FEW: u64 = MOST as u64 / 2;

/// Keys, sorted and each once after [`Keys::sort`]; `None` if the cache is invalid.
#[derive(Debug, PartialEq, Eq)]
struct Keys(Option<Vec<u64>>);

impl Keys {
    fn add(&mut self, key: u64) {
        let Some(keys) = &mut self.0 else { return };
        keys.push(key);
        if keys.len() > 2 * MOST {
            self.sort();
        }
    }

    /// A key that was removed and inserted again was reported twice.
    fn sort(&mut self) {
        if let Some(keys) = &mut self.0 {
            keys.sort_unstable();
            keys.dedup();
            if keys.len() > MOST {
                self.0 = None;
            }
        }
    }
}

/// The cache of keys, with the maps that keep it valid.
pub(super) struct KeyCache {
    new: RingBuf<MapData>,
    missed: MappedArray<u64>,
    keys: Keys,
}

impl KeyCache {
    /// Takes the maps out of the loaded object, whose table must be empty.
    ///
    /// # Errors
    /// If a map is missing.
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, StartError> {
        let internal = |error: aya::maps::MapError| StartError::internal(&error);
        let new = Map::RingBuf(take_map_data(ebpf, "NEW_KEYS").map_err(internal)?);
        Ok(Self {
            new: RingBuf::try_from(new).map_err(internal)?,
            missed: map_array(ebpf, "KEYS_MISSED", 1)?,
            keys: Keys(Some(Vec::new())),
        })
    }

    /// Adds reported keys. Returns whether the cache is valid.
    pub(super) fn is_valid(&mut self) -> bool {
        while self.keys.0.is_some()
            && let Some(item) = self.new.next()
        {
            if let Ok(key) = u64::read_from_bytes(&item) {
                self.keys.add(key);
            }
        }
        self.keys.sort();
        if self.missed.get(0) != Some(0) {
            self.invalidate();
        }
        self.keys.0.is_some()
    }

    /// Takes the keys out, for a pass that adds those back that still have a record.
    pub(super) fn take(&mut self) -> Vec<u64> {
        self.keys.0.as_mut().map(mem::take).unwrap_or_default()
    }

    /// Whether an invalid cache should be filled again with this many open sockets.
    pub(super) fn is_worth_filling(open: u64) -> bool {
        open < FEW
    }

    /// Empties the cache before it is filled from the table. Keys inserted from here on are reported, earlier ones are in the table.
    pub(super) fn begin_filling(&mut self) {
        while self.new.next().is_some() {}
        self.missed.set(0, 0);
        self.keys = Keys(Some(Vec::new()));
    }

    /// Adds a key that is in the table.
    pub(super) fn add(&mut self, key: u64) {
        self.keys.add(key);
    }

    /// Makes the cache invalid: a key may be missing.
    pub(super) fn invalidate(&mut self) {
        self.keys = Keys(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(added: impl IntoIterator<Item = u64>) -> Keys {
        let mut keys = Keys(Some(Vec::new()));
        added.into_iter().for_each(|key| keys.add(key));
        keys.sort();
        keys
    }

    #[test]
    fn a_key_reported_twice_is_there_once() {
        assert_eq!(keys([7, 3, 7, 3, 5]), Keys(Some(vec![3, 5, 7])));
    }

    #[test]
    fn as_many_keys_as_fit_are_kept_however_often_each_is_reported() {
        let most = 0..MOST as u64;
        let reported = most.clone().chain(most.clone()).chain(most.clone());
        assert_eq!(keys(reported), Keys(Some(most.collect())));
    }

    #[test]
    fn one_key_too_many_makes_the_cache_invalid_for_good() {
        let too_many = 0..MOST as u64 + 1;
        assert_eq!(keys(too_many.clone()), Keys(None));
        assert_eq!(keys(too_many.cycle().take(5 * MOST)), Keys(None));
    }
}
