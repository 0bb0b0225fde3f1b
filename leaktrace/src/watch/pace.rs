//! How far samples are apart: as asked for, or further where a sample costs more than leaktrace may take of a core. Pure: costs come
//! in, an interval comes out.

use crate::config::CpuBudget;
use leaktrace_model::{Degradation, Walks};
use std::{collections::VecDeque, time::Duration};

/// How many samples the cost of the next one is guessed from: one dear one among them must change nothing.
const REMEMBERED: usize = 5;

/// Further apart than this no budget puts them, but for the interval that ends behind it: who watches would take it for a hang.
const LONGEST: Duration = Duration::from_secs(60);

/// What samples have cost, and what follows for the next one.
#[derive(Debug)]
pub struct Pace {
    asked: Duration,
    budget: CpuBudget,
    costs: VecDeque<Duration>,
    /// What walks over the kernel's tables add to each sample, where only some samples make one.
    walks: Duration,
    first: bool,
    planned: Duration,
}

impl Pace {
    /// Nothing sampled yet.
    pub fn new(asked: Duration, budget: CpuBudget) -> Self {
        Self { asked, budget, costs: VecDeque::new(), walks: Duration::ZERO, first: true, planned: asked }
    }

    /// Takes in the processor time of one sample. The first one does what none does again: it adopts the sockets there are. Where
    /// only some samples walk the kernel's tables, such a one counts with its part of each.
    pub fn took(&mut self, cost: Duration, walks: Option<Walks>) {
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

    /// Another sample will follow: decides when. Whole multiples of what was asked for, so that it does not change with every
    /// sample.
    pub fn plan(&mut self) {
        let needed = self.budget.interval_for(self.usual_cost()).min(LONGEST);
        self.planned = self.asked;
        if needed > self.asked && !self.asked.is_zero() {
            self.planned = self.asked.mul_f64((needed.as_secs_f64() / self.asked.as_secs_f64()).ceil());
        }
    }

    /// Time from one sample to the next, as last planned.
    pub fn interval(&self) -> Duration {
        self.planned
    }

    /// What to tell people about it, if samples are further apart than they asked for.
    pub fn degradation(&self) -> Option<Degradation> {
        (self.planned > self.asked).then(|| Degradation::SamplesApart {
            planned: self.planned,
            asked: self.asked,
            cost: self.usual_cost(),
            budget_percent: self.budget.percent().to_string(),
        })
    }

    /// The median of the last few, zero as long as there is none, and the part of a walk.
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
    fn one_dear_sample_among_cheap_ones_changes_nothing() {
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
