//! Whether a number of open sockets grows: counts over time, and what their trend says.
//!
//! A busy program opens and closes all the time, and what it has open goes up and down with its load. A leak is what
//! outlives that. So, once a watch is twice as old as the threshold, not the open sockets are judged but those among them
//! that are `long-lived`: churn never gets there, and however much of it there is, a leak of one socket a minute stands
//! out. Before that all open sockets are judged, for there is nothing better.
//!
//! A leak raises the floor: the window is cut into ten stretches, and the smallest count of each is taken. They grow when
//! - they rise more steadily than chance allows (Mann-Kendall test, one-sided 0.1 %), by two sockets at least,
//! - and still do in the later half, or it is a start that has found its level,
//! - and the mean step between them is 2.5 times its standard error or more: steps of a count that wanders are as large
//!   downwards as upwards.
//!
//! Two windows are looked at, the last ten minutes and all that is remembered; one is enough. The rate is the Theil-Sen
//! slope of the same floors.
//!
//! How often that is wrong was measured on series with known truth, a look a second, the threshold at 60 s, 1000 series a
//! kind, each judged once after ten minutes; healthy ones then every ten seconds up to the hour (`cargo test -p leaktrace
//! growth -- --ignored --nocapture` prints the table):
//!
//! ```text
//! healthy                             accused      ever in the hour
//! 50 that stay                          0.0 %                 0.0 %
//! churn, 50 open for 10 s               0.0 %                 0.0 %
//! churn, 50 open for a blink            0.0 %                 0.0 %
//! pool, 50 open for 1 min               0.0 %                 4.8 %
//! pool, 50 open for 5 min               0.9 %                38.4 %
//! pool, 60 open for 1 h                 2.3 %                61.9 %
//! pool, 5 open for 10 min               0.9 %                41.7 %
//! bursts of 20 to 200                   0.0 %                 0.0 %
//! sawtooth of 20 to 150 s               0.0 %                 0.0 %
//! random walk, 0 to 100                 3.9 %                60.0 %
//! day and night, 500 for 5 min          0.8 %                38.6 %
//! start of 1 min, then level            0.0 %                 0.0 %
//! start of 4 min, then level            0.0 %                 0.0 %
//! the same, with churn                  0.0 %                 0.0 %
//! churn, 500 open for 10 s              0.0 %                 0.0 %
//! day and night, 500 for 10 s           0.0 %                 0.0 %
//! leaking                              missed    median until found
//! 1/min, nothing else                   0.0 %                 300 s
//! 1/min, 50 that stay                   0.0 %                 300 s
//! 1/min, 50 open for a blink            0.0 %                 300 s
//! 1/min, 50 open for 10 s               0.0 %                 300 s
//! 1/min, bursts                        41.7 %                 430 s
//! 1/s, bursts                           0.0 %                  30 s
//! 1/min, sawtooth                      17.7 %                  20 s
//! 1/10 s, pool for 5 min                2.9 %                 110 s
//! 1/min, 500 open for 10 s              2.8 %                 350 s
//! 1/s, 500 open for 10 s                0.0 %                 130 s
//! 1/min after 1 h, 50 for 10 s          0.0 %                 390 s
//! ```
//!
//! A pool whose sockets outlive the threshold and come and go at random is what is accused wrongly: now and then it does
//! rise for ten minutes, and whoever watches long enough will see it. Bursts with stragglers that outlive the threshold
//! hide a slow leak longest. In the first two minutes a start counts as growth until it has found its level.

#[cfg(test)]
mod rates;
#[cfg(test)]
mod synthetic;

use std::collections::VecDeque;

/// Stretches that the window is cut into.
const STRETCHES: usize = 10;

/// Looks kept; older ones are thinned out by halving.
const MOST_POINTS: usize = 1200;

/// Fewest looks that say anything.
const FEWEST_POINTS: usize = STRETCHES + 2;

/// The shorter of the two windows, in seconds.
const RECENT: f64 = 600.0;

/// Standard deviations by which the trend must exceed chance: one-sided 0.1 %.
const SURE: f64 = 3.09;

/// The rise that is worth naming, in sockets over the window: less may be a pool that still fills.
const LEAST_RISE: f64 = 2.0;

/// The mean step from floor to floor, in its standard errors, that a wandering count hardly reaches.
const STEADY: f64 = 2.5;

/// The share of the whole rise that the later half must have.
const LATER_SHARE: f64 = 0.2;

/// Sockets that belong together, over time.
#[derive(Clone, Debug, Default)]
pub struct Growth {
    open: Series,
    /// Those above the threshold; it begins when one can be.
    aged: Series,
    first_s: Option<f64>,
    threshold_s: f64,
}

/// What one look finds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Look {
    /// When, by any clock that only goes forward.
    pub seconds: f64,
    /// Sockets that are open.
    pub open: u64,
    /// Those of them that have been for at least the threshold.
    pub aged: u64,
    /// The threshold.
    pub threshold_s: f64,
}

impl Growth {
    /// Adds a look.
    pub fn push(&mut self, look: Look) {
        if look.threshold_s != self.threshold_s {
            self.aged = Series::default();
            self.threshold_s = look.threshold_s;
        }
        self.open.push(look.seconds, look.open);
        // Ages count from the first look at the earliest: what is below the threshold until then is not known to be young.
        let first_s = *self.first_s.get_or_insert(look.seconds);
        if look.seconds - first_s > look.threshold_s {
            self.aged.push(look.seconds, look.aged);
        }
    }

    /// How many looks there are, up to as many as are kept.
    pub fn looks(&self) -> usize {
        self.open.points.len()
    }

    /// The trend; `None` while there are too few looks to tell.
    pub fn trend(&self) -> Option<Trend> {
        let tells = self.aged.seconds() >= self.threshold_s;
        let aged = if tells { self.aged.trend() } else { None };
        let open = self.open.trend()?;
        // A rate is that of the leak where there is one, else that of all open sockets.
        Some(aged.map_or(open, |aged| if aged.growing { aged } else { Trend { growing: false, ..open } }))
    }
}

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

    /// From the first look to the last.
    fn seconds(&self) -> f64 {
        self.points.front().zip(self.points.back()).map_or(0.0, |(first, last)| last.0 - first.0)
    }

    /// The trend; `None` while there are too few looks to tell.
    pub fn trend(&self) -> Option<Trend> {
        let last = self.points.back()?.0;
        let recent = self.trend_since(last - RECENT)?;
        if recent.growing || self.seconds() <= RECENT {
            return Some(recent);
        }
        self.trend_since(f64::NEG_INFINITY).filter(|whole| whole.growing).or(Some(recent))
    }

    fn trend_since(&self, start: f64) -> Option<Trend> {
        let floors = self.floors(start)?;
        let per_min = theil_sen(&floors) * 60.0;
        Some(Trend { growing: rises(&floors) && per_min > 0.0, per_min })
    }

    /// The minimum of each stretch since `start`, dated at its middle.
    fn floors(&self, start: f64) -> Option<Vec<(f64, f64)>> {
        let from = self.points.partition_point(|(seconds, _)| *seconds < start);
        if self.points.len() - from < FEWEST_POINTS {
            return None;
        }
        let (start, end) = (self.points.get(from)?.0, self.points.back()?.0);
        let length = (end - start) / STRETCHES as f64;
        if length <= 0.0 {
            return None;
        }
        let mut floors: Vec<Option<u64>> = vec![None; STRETCHES];
        for (seconds, count) in self.points.range(from..) {
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

/// Whether floors rise beyond chance, to the end, and step by step.
fn rises(floors: &[(f64, f64)]) -> bool {
    let rise = |part: &[(f64, f64)]| part.first().zip(part.last()).map_or(0.0, |(first, last)| last.1 - first.1);
    let later = &floors[floors.len() / 2..];
    let whole = rise(floors);
    whole >= LEAST_RISE
        && rise(later) >= whole * LATER_SHARE
        && mann_kendall(floors) >= SURE
        && mean_step(floors) >= STEADY
}

/// The mean step from one to the next, in its standard errors.
fn mean_step(points: &[(f64, f64)]) -> f64 {
    let steps: Vec<f64> = points.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
    let n = steps.len() as f64;
    let mean = steps.iter().sum::<f64>() / n;
    let variance = steps.iter().map(|step| (step - mean).powi(2)).sum::<f64>() / (n - 1.0);
    // Equal steps upwards have no error: infinity is as it should be.
    if mean > 0.0 { mean / (variance / n).sqrt() } else { 0.0 }
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
