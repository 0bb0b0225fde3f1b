//! The keys of all records, as long as there are few: with them a pass costs what is open, not what the table has room for.
//!
//! The kernel side tells of each entry that is new in the table, passes find out which are gone. Where one was missed, or there are
//! too many, they are not known any more until the table has been asked for all of them.

use super::{
    error::StartError,
    mapped::{MappedArray, map_array, take_map_data},
};
use aya::{
    Ebpf,
    maps::{Map, MapData, RingBuf},
};
use std::mem;
use zerocopy::FromBytes as _;

/// The most keys that are kept.
const MOST: usize = 8192;

/// With fewer open sockets, the table is worth asking: it may have as many vacant records.
const FEW: u64 = MOST as u64 / 2;

/// Keys, sorted by [`Keys::settle`]; `None` where they are not known.
#[derive(Debug, PartialEq, Eq)]
struct Keys(Option<Vec<u64>>);

impl Keys {
    fn add(&mut self, key: u64) {
        let Some(keys) = &mut self.0 else { return };
        keys.push(key);
        if keys.len() > 2 * MOST {
            self.settle();
        }
    }

    /// An entry that went and came again is told of twice.
    fn settle(&mut self) {
        if let Some(keys) = &mut self.0 {
            keys.sort_unstable();
            keys.dedup();
            if keys.len() > MOST {
                self.0 = None;
            }
        }
    }
}

/// What is known of the keys in the table.
pub struct Roster {
    new: RingBuf<MapData>,
    missed: MappedArray<u64>,
    keys: Keys,
}

impl Roster {
    /// Takes the maps out of the loaded object, whose table must be empty.
    ///
    /// # Errors
    /// When one is not there.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self, StartError> {
        let internal = |error: aya::maps::MapError| StartError::internal(&error);
        let new = Map::RingBuf(take_map_data(ebpf, "NEW_KEYS").map_err(internal)?);
        Ok(Self {
            new: RingBuf::try_from(new).map_err(internal)?,
            missed: map_array(ebpf, "KEYS_MISSED", 1)?,
            keys: Keys(Some(Vec::new())),
        })
    }

    /// Takes in what is new; whether all keys are known then.
    pub fn is_complete(&mut self) -> bool {
        while self.keys.0.is_some()
            && let Some(item) = self.new.next()
        {
            if let Ok(key) = u64::read_from_bytes(&item) {
                self.keys.add(key);
            }
        }
        self.keys.settle();
        if self.missed.get(0) != Some(0) {
            self.give_up();
        }
        self.keys.0.is_some()
    }

    /// Takes the keys away, for a pass over them that adds those that are left.
    pub fn take(&mut self) -> Vec<u64> {
        self.keys.0.as_mut().map(mem::take).unwrap_or_default()
    }

    /// Whether so many open sockets are few enough to ask the table for its keys.
    pub fn suits(open: u64) -> bool {
        open < FEW
    }

    /// The table is about to be asked. What is new from here on is told, what was before it has.
    pub fn begin(&mut self) {
        while self.new.next().is_some() {}
        self.missed.set(0, 0);
        self.keys = Keys(Some(Vec::new()));
    }

    /// The table has this key, or has it still.
    pub fn add(&mut self, key: u64) {
        self.keys.add(key);
    }

    /// Some keys are not known.
    pub fn give_up(&mut self) {
        self.keys = Keys(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(added: impl IntoIterator<Item = u64>) -> Keys {
        let mut keys = Keys(Some(Vec::new()));
        added.into_iter().for_each(|key| keys.add(key));
        keys.settle();
        keys
    }

    #[test]
    fn what_is_told_twice_is_there_once() {
        assert_eq!(keys([7, 3, 7, 3, 5]), Keys(Some(vec![3, 5, 7])));
    }

    #[test]
    fn as_many_as_fit_are_known_however_often_each_is_told() {
        let most = 0..MOST as u64;
        let told = most.clone().chain(most.clone()).chain(most.clone());
        assert_eq!(keys(told), Keys(Some(most.collect())));
    }

    #[test]
    fn one_more_and_none_is_known_whatever_comes_after() {
        let too_many = 0..MOST as u64 + 1;
        assert_eq!(keys(too_many.clone()), Keys(None));
        assert_eq!(keys(too_many.cycle().take(5 * MOST)), Keys(None));
    }
}
