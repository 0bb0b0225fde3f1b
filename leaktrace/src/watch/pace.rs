//! The time between samples: as requested, or longer when samples cost more than the CPU budget. Pure: costs come in,
//! an interval comes out.

use crate::config::CpuBudget;
use leaktrace_model::{Degradation, Walks};
use std::{collections::VecDeque, time::Duration};

/// Number of samples that predict the cost of the next one. A single expensive sample among them must change nothing.
const REMEMBERED: usize = 5;

/// Longest interval that a budget leads to, rounded up to the requested interval. A longer silence looks like a hang.
const LONGEST: Duration = Duration::from_secs(60);

/// The cost of recent samples, and the interval that follows from it.
#[derive(Debug)]
pub(crate) struct Pace {
    asked: Duration,
    budget: CpuBudget,
    costs: VecDeque<Duration>,
    /// What walks over the kernel's tables add to each sample, when only some samples walk.
    walks: Duration,
    first: bool,
    planned: Duration,
}

impl Pace {
    /// A pace before the first sample.
    pub(crate) fn new(asked: Duration, budget: CpuBudget) -> Self {
        Self { asked, budget, costs: VecDeque::new(), walks: Duration::ZERO, first: true, planned: asked }
    }

    /// Takes in the processor time of one sample. The first sample is left out, because only that one adopts the
    /// sockets there are. When only some samples walk the kernel's tables, each sample carries its share of a walk.
    pub(crate) fn took(&mut self, cost: Duration, walks: Option<Walks>) {
        if std::mem::take(&mut self.first) {
            return;
        }
        match walks {
            Some(Walks { one_in, now: true }) => {
                self.walks = cost / one_in;
                return;
            }
            Some(_) => {}
            None => self.walks = Duration::ZERO,
        }
        if self.costs.len() == REMEMBERED {
            self.costs.pop_front();
        }
        self.costs.push_back(cost);
    }

    /// Plans the interval to the next sample. Whole multiples of the requested interval keep it from changing with
    /// every sample.
    pub(crate) fn plan(&mut self) {
        let needed = self.budget.interval_for(self.usual_cost()).min(LONGEST);
        self.planned = self.asked;
        if needed > self.asked && !self.asked.is_zero() {
            self.planned = self.asked.mul_f64((needed.as_secs_f64() / self.asked.as_secs_f64()).ceil());
        }
    }

    /// Time between samples, as last planned.
    pub(crate) fn interval(&self) -> Duration {
        self.planned
    }

    /// What to report if samples are further apart than requested.
    pub(crate) fn degradation(&self) -> Option<Degradation> {
        (self.planned > self.asked).then(|| Degradation::SamplesApart {
            planned: self.planned,
            asked: self.asked,
            cost: self.usual_cost(),
            budget_percent: self.budget.percent().to_string(),
        })
    }

    /// The median of the last few costs (zero before the first), plus the share of a walk.
    fn usual_cost(&self) -> Duration {
        let mut costs: Vec<Duration> = self.costs.iter().copied().collect();
        costs.sort_unstable();
        costs.get(costs.len() / 2).copied().unwrap_or_default() + self.walks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace(percent: &str, costs_ms: &[u64]) -> Pace {
        let mut pace = Pace::new(SECOND, percent.parse().unwrap());
        take(&mut pace, costs_ms);
        pace
    }

    fn take(pace: &mut Pace, costs_ms: &[u64]) {
        for cost in costs_ms {
            pace.took(Duration::from_millis(*cost), None);
            pace.plan();
        }
    }

    #[test]
    fn samples_within_the_budget_come_as_asked() {
        let pace = pace("1", &[0, 10, 9, 10]);
        assert_eq!((pace.interval(), pace.degradation()), (SECOND, None));
    }

    #[test]
    fn samples_beyond_it_are_put_apart_in_whole_intervals_and_it_is_said_why() {
        let pace = pace("1", &[0, 114]);
        assert_eq!(pace.interval(), 12 * SECOND);
        let reason = pace.degradation().unwrap().reason().into_owned();
        assert!(reason.starts_with("samples are 12s apart in place of 1s, because each takes 114ms"), "{reason}");
    }

    #[test]
    fn what_adopting_costs_counts_for_nothing() {
        assert_eq!(pace("1", &[5000]).interval(), SECOND);
    }

    #[test]
    fn one_expensive_sample_among_cheap_ones_changes_nothing() {
        assert_eq!(pace("1", &[0, 5, 5, 500, 5]).interval(), SECOND);
    }

    #[test]
    fn when_samples_get_cheap_again_they_come_as_asked_again() {
        let mut pace = pace("1", &[0, 100, 100, 100, 100, 100]);
        assert_eq!(pace.interval(), 10 * SECOND);
        take(&mut pace, &[1, 1, 1]);
        assert_eq!(pace.interval(), SECOND);
    }

    #[test]
    fn a_walk_counts_with_its_part_of_every_sample() {
        let mut pace = pace("1", &[0]);
        let ms = Duration::from_millis;
        for _ in 0..3 {
            pace.took(ms(200), Some(Walks { one_in: 10, now: true }));
            pace.took(ms(60), Some(Walks { one_in: 10, now: false }));
        }
        pace.plan();
        assert_eq!(pace.interval(), 8 * SECOND, "60 ms and a tenth of 200 ms");
    }

    #[test]
    fn no_budget_is_no_bound_and_none_stretches_beyond_a_minute() {
        assert_eq!(pace("0", &[0, 100_000]).interval(), SECOND);
        assert_eq!(pace("0.01", &[0, 100_000]).interval(), LONGEST);
    }

    #[test]
    fn an_interval_that_a_minute_is_no_multiple_of_ends_behind_it() {
        for (asked, planned) in [(7 * SECOND, 63 * SECOND), (45 * SECOND, 90 * SECOND)] {
            let mut pace = Pace::new(asked, "0.01".parse().unwrap());
            take(&mut pace, &[0, 100_000]);
            assert_eq!(pace.interval(), planned);
        }
    }

    #[test]
    fn an_interval_longer_than_the_budget_asks_for_stays_as_it_is() {
        let mut pace = Pace::new(120 * SECOND, CpuBudget::default());
        take(&mut pace, &[90_000; 3]);
        assert_eq!((pace.interval(), pace.degradation()), (120 * SECOND, None));
    }

    #[test]
    fn a_sample_that_none_follows_changes_nothing() {
        let mut pace = pace("1", &[0]);
        pace.took(100 * SECOND, None);
        assert_eq!((pace.interval(), pace.degradation()), (SECOND, None));
    }
}
