//! Decides whether a pass over sockets walks the kernel's own tables or uses the records. Pure: costs in, a decision out.

use std::{num::NonZeroU32, time::Duration};

/// Walks that take less processor time than this are made at every pass: saving them would not be noticeable.
const CHEAP: Duration = Duration::from_millis(10);

/// The same limit while the cost of a pass over records depends on the open sockets only, not on the size of its table. The cost of a
/// walk always depends on the size of the kernel's own table, which the kernel chooses by the memory of the machine.
const CHEAP_BESIDE_KEY_CACHE: Duration = Duration::from_millis(1);

/// If walks take more than that, one pass in this many is a walk.
const EVERY: u32 = 10;

/// The cost of the last walk, and the passes since then.
#[derive(Debug)]
pub(super) struct Walks {
    asked: Option<NonZeroU32>,
    cost: Duration,
    /// Passes over records since the last walk; `None` before the first.
    passes: Option<u32>,
    left_out: bool,
    cheap: Duration,
}

impl Walks {
    /// Before the first walk. With `every`, one pass in that many is a walk, at any cost.
    pub(super) fn new(every: Option<NonZeroU32>) -> Self {
        Self { asked: every, cost: Duration::ZERO, passes: None, left_out: false, cheap: CHEAP }
    }

    /// Sets whether passes over records are so cheap that walks are saved even if they are cheap.
    pub(super) fn save_cheap_ones(&mut self, save: bool) {
        self.cheap = if save { CHEAP_BESIDE_KEY_CACHE } else { CHEAP };
    }

    /// Whether the next pass must be a walk: the first pass, one pass in [`Self::every`], and every pass after a walk that found sockets
    /// without a record because the table is full.
    pub(super) fn is_due(&self) -> bool {
        self.passes.is_none_or(|passes| passes + 1 >= self.every())
    }

    /// Whether the last walk found sockets without a record because the table is full.
    pub(super) fn left_some_out(&self) -> bool {
        self.left_out
    }

    /// Notes a walk: its processor time, and how many sockets had no record because the table is full.
    pub(super) fn walked(&mut self, cost: Duration, unattributed: u64) {
        (self.cost, self.passes, self.left_out) = (cost, Some(0), unattributed > 0);
    }

    /// Whether a walk may be made before it is due, for what only a walk can do: not if it is expensive or the user has set a period.
    pub(super) fn may_come_early(&self) -> bool {
        self.asked.is_none() && self.cost < CHEAP
    }

    /// Notes a pass over records.
    pub(super) fn went_by_records(&mut self) {
        self.passes = self.passes.map(|passes| passes.saturating_add(1));
    }

    /// One pass in this many is a walk.
    pub(super) fn every(&self) -> u32 {
        if self.left_out {
            return 1;
        }
        self.asked.map_or(if self.cost < self.cheap { 1 } else { EVERY }, NonZeroU32::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Makes `passes` passes in which each walk takes `cost`: `w` for a walk, `.` for a pass over records.
    fn plays(walks: &mut Walks, passes: usize, cost: Duration) -> String {
        let mut played = String::new();
        for _ in 0..passes {
            if walks.is_due() {
                walks.walked(cost, 0);
                played.push('w');
            } else {
                walks.went_by_records();
                played.push('.');
            }
        }
        played
    }

    #[test]
    fn cheap_walks_are_made_every_time() {
        assert_eq!(plays(&mut Walks::new(None), 5, MS), "wwwww");
    }

    #[test]
    fn expensive_walks_are_made_one_time_in_ten() {
        assert_eq!(plays(&mut Walks::new(None), 22, 50 * MS), "w.........w.........w.");
    }

    #[test]
    fn walks_that_get_expensive_become_rare_and_often_again_when_they_get_cheap() {
        let mut walks = Walks::new(None);
        assert_eq!(plays(&mut walks, 3, MS), "www");
        assert_eq!(plays(&mut walks, 11, 50 * MS), "w.........w");
        assert_eq!(plays(&mut walks, 12, MS), ".........www");
    }

    #[test]
    fn beside_a_key_cache_only_the_cheapest_walks_are_made_every_time() {
        let mut walks = Walks::new(None);
        walks.save_cheap_ones(true);
        assert_eq!(plays(&mut walks, 5, MS / 2), "wwwww");
        assert_eq!(plays(&mut walks, 12, 2 * MS), "w.........w.");
        walks.save_cheap_ones(false);
        assert_eq!(plays(&mut walks, 3, 2 * MS), "www");
    }

    #[test]
    fn a_walk_may_come_early_unless_it_is_expensive() {
        for (asked, cost, may) in [(None, 2 * MS, true), (None, 50 * MS, false), (NonZeroU32::new(3), MS, false)] {
            let mut walks = Walks::new(asked);
            walks.save_cheap_ones(true);
            walks.walked(cost, 0);
            assert_eq!(walks.may_come_early(), may);
        }
    }

    #[test]
    fn a_period_set_by_the_user_holds_at_any_cost() {
        assert_eq!(plays(&mut Walks::new(NonZeroU32::new(3)), 7, MS), "w..w..w");
        assert_eq!(plays(&mut Walks::new(NonZeroU32::new(1)), 3, 50 * MS), "www");
    }

    #[test]
    fn sockets_that_found_no_room_are_seen_by_every_pass() {
        let mut walks = Walks::new(None);
        walks.walked(50 * MS, 1);
        assert!(walks.is_due());
        walks.walked(50 * MS, 0);
        assert!(!walks.is_due());
    }

    #[test]
    fn a_walk_that_every_pass_makes_is_not_said_to_be_one_in_ten() {
        for asked in [None, NonZeroU32::new(3)] {
            let mut walks = Walks::new(asked);
            walks.walked(50 * MS, 1);
            assert_eq!(walks.every(), 1, "its cost is the cost of every sample");
            walks.walked(50 * MS, 0);
            assert_eq!(walks.every(), asked.map_or(EVERY, NonZeroU32::get));
        }
    }
}
