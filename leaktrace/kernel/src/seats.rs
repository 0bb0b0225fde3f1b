//! The seats: the part of the table of sockets that user space looks through itself, between passes. The kernel side says what they
//! are for.

use super::{
    error::StartError,
    mapped::{MappedArray, map_array},
};
use aya::Ebpf;
use leaktrace_common::{
    SEATS, Seat, SocketRecord,
    opened::{TAKEN, VACANT},
};
use std::{
    mem::offset_of,
    sync::atomic::{AtomicU64, Ordering},
};

/// All seats.
pub struct Seats(MappedArray<Seat>);

impl Seats {
    /// Takes the map out of the loaded object; there must be seats in it.
    ///
    /// # Errors
    /// When it is not there.
    pub fn new(ebpf: &mut Ebpf) -> Result<Self, StartError> {
        map_array(ebpf, "SEATS", SEATS as usize).map(Self)
    }

    /// Frees vacant seats; the addresses of the sockets that have the others. Not while a pass runs.
    pub fn tidy(&self) -> impl Iterator<Item = u64> {
        const OPENED_AT: usize = offset_of!(Seat, record) + offset_of!(SocketRecord, opened_ns);
        (0..SEATS as usize).filter_map(|seat| {
            let word = |offset| self.0.shared(seat, offset);
            tidy(word(offset_of!(Seat, sk))?, word(OPENED_AT)?)
        })
    }
}

/// The address of the socket that has a seat; of a vacant one, frees it, unless a hook is faster.
fn tidy(sk: &AtomicU64, opened_ns: &AtomicU64) -> Option<u64> {
    let holder = sk.load(Ordering::Acquire);
    if holder == 0 {
        return None;
    }
    if opened_ns.compare_exchange(VACANT, TAKEN, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return Some(holder);
    }
    sk.store(0, Ordering::Release);
    opened_ns.store(VACANT, Ordering::Release);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tidied(sk: u64, opened_ns: u64) -> (Option<u64>, u64, u64) {
        let (sk, opened_ns) = (AtomicU64::new(sk), AtomicU64::new(opened_ns));
        (tidy(&sk, &opened_ns), sk.into_inner(), opened_ns.into_inner())
    }

    #[test]
    fn who_sits_or_is_sitting_down_is_told_of_and_stays() {
        assert_eq!(tidied(0xFFFF_8880_0000_0040, 12_345), (Some(0xFFFF_8880_0000_0040), 0xFFFF_8880_0000_0040, 12_345));
        assert_eq!(tidied(7, TAKEN), (Some(7), 7, TAKEN));
    }

    #[test]
    fn a_vacant_seat_is_free_afterwards() {
        assert_eq!(tidied(7, VACANT), (None, 0, VACANT));
        assert_eq!(tidied(0, VACANT), (None, 0, VACANT));
    }

    #[test]
    fn a_free_seat_that_somebody_is_taking_is_left_to_him() {
        assert_eq!(tidied(0, TAKEN), (None, 0, TAKEN));
    }
}
