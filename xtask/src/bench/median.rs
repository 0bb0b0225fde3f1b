//! The middle of a few noisy figures, and how sure it is. Order statistics only: nothing is assumed of how the noise is spread.

use std::fmt;

/// The chance that the interval holds the true median is at least this.
const CONFIDENCE: f64 = 0.95;

/// A median with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Median {
    /// The median of the figures.
    pub value: f64,
    /// Two of the figures, with the true median between them in at least 95 % of all runs; none from fewer than six figures.
    pub interval: Option<(f64, f64)>,
}

impl Median {
    /// The median of `figures`; none of no figures.
    pub fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let value = (sorted[last / 2] + sorted[last - last / 2]) / 2.0;
        let interval = ends_to_drop(sorted.len()).map(|drop| (sorted[drop], sorted[last - drop]));
        Some(Self { value, interval })
    }
}

/// How many figures at each end lie outside the interval: the most that still leave the confidence.
fn ends_to_drop(count: usize) -> Option<usize> {
    // The true median is below the figure at place `k` (from 0) if at most `k` of the fair coins fall that way.
    let mut probability = 0.5_f64.powi(i32::try_from(count).ok()?);
    let mut below = 0.0;
    let mut dropped = None;
    for place in 0..count / 2 {
        below += probability;
        if 1.0 - 2.0 * below < CONFIDENCE {
            break;
        }
        dropped = Some(place);
        probability *= (count - place) as f64 / (place + 1) as f64;
    }
    dropped
}

impl fmt::Display for Median {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = to.precision().unwrap_or(1);
        match self.interval {
            Some((low, high)) => write!(to, "{:.digits$} [{low:.digits$}, {high:.digits$}]", self.value),
            None => write!(to, "{:.digits$} [–]", self.value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_ten_leaves_one_out_at_each_end() {
        let figures = [10.0, 1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0, 5.0];
        assert_eq!(Median::of(&figures), Some(Median { value: 5.5, interval: Some((2.0, 9.0)) }));
    }

    #[test]
    fn places_are_those_of_the_tables() {
        // Places from 1 of the lower end in the usual tables: 6 → 1, 9 → 2, 12 → 3, 20 → 6, 30 → 10.
        for (count, place) in [(6, 1), (8, 1), (9, 2), (12, 3), (20, 6), (30, 10)] {
            assert_eq!(ends_to_drop(count), Some(place - 1), "of {count}");
        }
    }

    #[test]
    fn five_figures_bound_no_median_at_95_percent() {
        assert_eq!(Median::of(&[1.0, 2.0, 3.0, 4.0, 5.0]), Some(Median { value: 3.0, interval: None }));
    }

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(Median::of(&[]), None);
    }
}
