//! Pseudonyms of sockets: a recording is handed to others, and the kernel's addresses would help them to attack the host.

use leaktrace_model::Sample;
use std::hash::{BuildHasher, RandomState};

/// Replaces addresses of sockets by keyed hashes. The key is random and only in memory: without it, no address can be computed from its hash.
/// Two addresses of one recording get the same hash about once in 2^64 pairs.
#[derive(Clone, Debug, Default)]
pub struct Pseudonyms(RandomState);

impl Pseudonyms {
    /// Replaces the addresses of a sample. Sockets are then in the order of the hashes, as a replay gives them.
    pub fn replace(&self, sample: &mut Sample) {
        for socket in &mut sample.sockets {
            socket.sk = self.0.hash_one(socket.sk);
        }
        sample.sockets.sort_unstable_by_key(|socket| socket.sk);
        for holder in sample.holders.iter_mut().flat_map(|holders| &mut holders.rows) {
            holder.sk = self.0.hash_one(holder.sk);
        }
        for left in sample.tree.iter_mut().flat_map(|tree| &mut tree.left) {
            left.socket.sk = self.0.hash_one(left.socket.sk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Host, Scale};
    use std::collections::{HashMap, HashSet};

    #[test]
    fn equal_addresses_stay_equal_within_a_recording_and_no_address_is_left() {
        let (pseudonyms, other) = (Pseudonyms::default(), Pseudonyms::default());
        let mut host = Host::new(Scale::SMALL);
        let mut known: HashMap<u64, u64> = HashMap::new();
        for _ in 0..20 {
            let sample = host.sample();
            let (mut hidden, mut elsewhere) = (sample.clone(), sample.clone());
            pseudonyms.replace(&mut hidden);
            other.replace(&mut elsewhere);
            assert!(hidden.sockets.is_sorted_by_key(|socket| socket.sk));
            let addresses: HashSet<u64> = sample.sockets.iter().map(|socket| socket.sk).collect();
            let others: HashSet<u64> = elsewhere.sockets.iter().map(|socket| socket.sk).collect();
            for socket in &sample.sockets {
                let named = hidden.sockets.iter().find(|hidden| hidden.cookie == socket.cookie).unwrap();
                assert_eq!(*known.entry(socket.sk).or_insert(named.sk), named.sk);
                assert!(!addresses.contains(&named.sk) && !others.contains(&named.sk));
            }
            let holders = |sample: &Sample| sample.holders.clone().unwrap_or_default().rows;
            for (holder, hidden) in holders(&sample).iter().zip(holders(&hidden)) {
                assert_eq!(known[&holder.sk], hidden.sk);
            }
        }
    }
}
