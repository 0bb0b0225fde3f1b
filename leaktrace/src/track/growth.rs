//! Whether a number of open sockets grows: a series of counts, and what its trend says.
//!
//! A leak raises the floor: whatever churn does on top, the smallest number of open sockets in each stretch of time
//! rises. So the window is cut into stretches of equal length, the minimum of each is taken, and the Mann-Kendall test
//! asks whether those minima rise more steadily than chance allows; the Theil-Sen slope says how fast. A steady pool
//! has equal minima, a bursty server falls back to its floor between bursts, and neither is accused.

use std::collections::VecDeque;

/// Stretches that the window is cut into.
const STRETCHES: usize = 10;

/// Looks kept; older ones are thinned out by halving.
const MOST_POINTS: usize = 1200;

/// Fewest looks that say anything.
const FEWEST_POINTS: usize = STRETCHES + 2;

/// Standard deviations by which the trend must exceed chance: one-sided 0.1 %.
const SURE: f64 = 3.09;

/// The rise that is worth naming, in sockets over the window: less may be a pool that still fills.
const LEAST_RISE: f64 = 2.0;

/// Counts over time.
#[derive(Clone, Debug, Default)]
pub struct Series {
    points: VecDeque<(f64, u64)>,
}

/// What a trend says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Whether the floor rises beyond chance.
    pub growing: bool,
    /// How fast, sockets a minute.
    pub per_min: f64,
}

impl Series {
    /// Adds a look at `seconds` of any clock that only goes forward.
    pub fn push(&mut self, seconds: f64, count: u64) {
        if self.points.len() >= MOST_POINTS {
            // The older half at half the resolution; minima must survive, so the smaller of two stays.
            let old: Vec<(f64, u64)> = self.points.drain(..MOST_POINTS / 2).collect();
            for pair in old.chunks(2).rev() {
                if let Some(lowest) = pair.iter().min_by_key(|(_, count)| *count) {
                    self.points.push_front(*lowest);
                }
            }
        }
        self.points.push_back((seconds, count));
    }

    /// The counts, oldest first.
    pub fn points(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.points.iter().copied()
    }

    /// The trend; `None` while there are too few looks to tell.
    pub fn trend(&self) -> Option<Trend> {
        if self.points.len() < FEWEST_POINTS {
            return None;
        }
        let floors = self.floors()?;
        let rise = floors.last()?.1 - floors.first()?.1;
        let per_min = theil_sen(&floors) * 60.0;
        let growing = mann_kendall(&floors) >= SURE && rise >= LEAST_RISE && per_min > 0.0;
        Some(Trend { growing, per_min })
    }

    /// The minimum of each stretch, dated at its middle.
    fn floors(&self) -> Option<Vec<(f64, f64)>> {
        let (start, end) = (self.points.front()?.0, self.points.back()?.0);
        let length = (end - start) / STRETCHES as f64;
        if length <= 0.0 {
            return None;
        }
        let mut floors: Vec<Option<u64>> = vec![None; STRETCHES];
        for (seconds, count) in &self.points {
            let stretch = (((seconds - start) / length) as usize).min(STRETCHES - 1);
            let floor = floors[stretch].get_or_insert(*count);
            *floor = (*floor).min(*count);
        }
        let dated = floors
            .iter()
            .enumerate()
            .filter_map(|(stretch, floor)| Some((start + (stretch as f64 + 0.5) * length, (*floor)? as f64)));
        Some(dated.collect())
    }
}

/// Standard deviations by which rising pairs outnumber falling ones, ties taken into account.
fn mann_kendall(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mut s = 0.0;
    for (at, (_, earlier)) in points.iter().enumerate() {
        for (_, later) in &points[at + 1..] {
            s += (later - earlier).partial_cmp(&0.0).map_or(0.0, |order| f64::from(order as i8));
        }
    }
    let mut values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    let ties: f64 =
        values.chunk_by(|a, b| a == b).map(|tie| tie.len() as f64).map(|t| t * (t - 1.0) * (2.0 * t + 5.0)).sum();
    let variance = (n * (n - 1.0) * (2.0 * n + 5.0) - ties) / 18.0;
    if variance <= 0.0 || s <= 0.0 { 0.0 } else { (s - 1.0) / variance.sqrt() }
}

/// Median of the slopes between all pairs.
fn theil_sen(points: &[(f64, f64)]) -> f64 {
    let mut slopes: Vec<f64> = points
        .iter()
        .enumerate()
        .flat_map(|(at, first)| points[at + 1..].iter().map(move |second| (second.1 - first.1) / (second.0 - first.0)))
        .collect();
    if slopes.is_empty() {
        return 0.0;
    }
    slopes.sort_by(f64::total_cmp);
    slopes[slopes.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(counts: impl IntoIterator<Item = u64>) -> Series {
        let mut series = Series::default();
        for (second, count) in counts.into_iter().enumerate() {
            series.push(second as f64, count);
        }
        series
    }

    #[test]
    fn a_steady_pool_does_not_grow() {
        assert_eq!(series([50; 600]).trend().map(|trend| trend.growing), Some(false));
    }

    #[test]
    fn a_steady_leak_grows_at_its_rate() {
        let trend = series((0..600).map(|second| 100 + second / 10)).trend();
        assert!(trend.is_some_and(|trend| trend.growing && (trend.per_min - 6.0).abs() < 1.0), "{trend:?}");
    }

    #[test]
    fn a_server_that_falls_back_to_its_floor_does_not_grow() {
        let bursts = series((0..600).map(|second| if second % 37 < 12 { 400 + second } else { 20 }));
        assert_eq!(bursts.trend().map(|trend| trend.growing), Some(false));
    }

    #[test]
    fn a_few_looks_say_nothing() {
        assert_eq!(series([1, 2, 3]).trend(), None);
    }

    #[test]
    fn a_long_watch_keeps_a_bounded_number_of_looks() {
        assert!(series((0..50_000).map(|_| 7)).points.len() <= MOST_POINTS);
    }
}
