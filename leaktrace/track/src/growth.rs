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
//! pool, 50 open for 1 min               0.0 %                 4.5 %
//! pool, 50 open for 5 min               0.7 %                38.5 %
//! pool, 60 open for 1 h                 2.3 %                60.9 %
//! pool, 5 open for 10 min               0.9 %                41.3 %
//! bursts of 20 to 200                   0.0 %                 0.0 %
//! sawtooth of 20 to 150 s               0.0 %                 0.0 %
//! random walk, 0 to 100                 4.0 %                60.3 %
//! day and night, 500 for 5 min          0.8 %                38.0 %
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
//! 1/min, bursts                        42.6 %                 430 s
//! 1/s, bursts                           0.0 %                  30 s
//! 1/min, sawtooth                      18.9 %                  20 s
//! 1/10 s, pool for 5 min                2.9 %                 110 s
//! 1/min, 500 open for 10 s              2.6 %                 350 s
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

use leaktrace_model::Trend;

/// Stretches that the window is cut into.
const STRETCHES: usize = 10;

/// Looks kept, at 8 bytes: every call site and peer has two series of them.
const MOST_POINTS: usize = 320;

/// Steps that the shorter window is thinned out to, up to twice as many: each stretch has eight looks at the least.
const RECENT_STEPS: f32 = 80.0;

/// The same for what is older, of all that is remembered.
const OLD_STEPS: f32 = 50.0;

/// Fewest looks that say anything.
const FEWEST_POINTS: usize = STRETCHES + 2;

/// The shorter of the two windows, in seconds.
pub(crate) const RECENT: f64 = 600.0;

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
pub(crate) struct Growth {
    open: Series,
    /// Those above the threshold; it begins when one can be.
    aged: Series,
    first_s: Option<f64>,
    threshold_s: f64,
}

/// What one look finds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Look {
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
    pub(crate) fn push(&mut self, look: Look) {
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
    pub(crate) fn looks(&self) -> usize {
        self.open.points.len()
    }

    /// The trend; `None` while there are too few looks to tell.
    pub(crate) fn trend(&self) -> Option<Trend> {
        let tells = self.aged.seconds() >= self.threshold_s;
        let aged = if tells { self.aged.trend() } else { None };
        let open = self.open.trend()?;
        // A rate is that of the leak where there is one, else that of all open sockets.
        Some(aged.map_or(open, |aged| if aged.growing { aged } else { Trend { growing: false, ..open } }))
    }
}

/// Counts over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// When the first look was.
    start: f64,
    /// Seconds since then, and how many.
    points: Vec<(f32, u32)>,
}

impl Series {
    /// Adds a look at `seconds` of any clock that only goes forward.
    pub(crate) fn push(&mut self, seconds: f64, count: u64) {
        if self.points.is_empty() {
            self.start = seconds;
        }
        if self.points.len() >= MOST_POINTS {
            self.thin_out();
        }
        if self.points.len() == self.points.capacity() {
            // A vector left to itself would double beyond what is ever used.
            self.points.reserve_exact(self.points.len().max(16).min(MOST_POINTS - self.points.len()));
        }
        self.points.push(((seconds - self.start) as f32, u32::try_from(count).unwrap_or(u32::MAX)));
    }

    /// One look a step stays, longer steps behind the shorter window. Minima must survive, so it is the smallest.
    fn thin_out(&mut self) {
        let end = self.points.last().map_or(0.0, |(seconds, _)| *seconds);
        // Powers of two, so that steps lie within longer ones and what was thinned out once stays as it is.
        let step = |seconds: f32| seconds.log2().floor().exp2();
        let (fine, coarse) = (step(end.min(RECENT as f32) / RECENT_STEPS), step(end / OLD_STEPS));
        let recent = end - RECENT as f32;
        let mut kept: usize = 0;
        let mut last = None;
        for at in 0..self.points.len() {
            let point = self.points[at];
            let step =
                if point.0 < recent { (coarse, (point.0 / coarse) as u32) } else { (fine, (point.0 / fine) as u32) };
            if last != Some(step) {
                last = Some(step);
                self.points[kept] = point;
                kept += 1;
            } else if point.1 < self.points[kept - 1].1 {
                self.points[kept - 1] = point;
            }
        }
        self.points.truncate(kept);
        if kept > MOST_POINTS * 7 / 8 {
            // Only a clock that jumps to and fro gets here.
            self.points.drain(..kept / 2);
        }
    }

    /// The counts, oldest first.
    pub(crate) fn points(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.points.iter().map(|(seconds, count)| (self.start + f64::from(*seconds), u64::from(*count)))
    }

    /// From the first look to the last.
    fn seconds(&self) -> f64 {
        self.points.first().zip(self.points.last()).map_or(0.0, |(first, last)| f64::from(last.0 - first.0))
    }

    /// The trend; `None` while there are too few looks to tell.
    pub(crate) fn trend(&self) -> Option<Trend> {
        let last = f64::from(self.points.last()?.0);
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
        let from = self.points.partition_point(|(seconds, _)| f64::from(*seconds) < start);
        if self.points.len() - from < FEWEST_POINTS {
            return None;
        }
        let (start, end) = (f64::from(self.points.get(from)?.0), f64::from(self.points.last()?.0));
        let length = (end - start) / STRETCHES as f64;
        if length <= 0.0 {
            return None;
        }
        let mut floors: Vec<Option<u32>> = vec![None; STRETCHES];
        for (seconds, count) in &self.points[from..] {
            let stretch = (((f64::from(*seconds) - start) / length) as usize).min(STRETCHES - 1);
            let floor = floors[stretch].get_or_insert(*count);
            *floor = (*floor).min(*count);
        }
        let dated = floors
            .iter()
            .enumerate()
            .filter_map(|(stretch, floor)| Some((start + (stretch as f64 + 0.5) * length, f64::from((*floor)?))));
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
        let series = series((0..50_000).map(|_| 7));
        assert!(series.points.len() <= MOST_POINTS);
        let bytes = series.points.capacity() * size_of::<(f32, u32)>();
        assert!(bytes <= 2560, "{bytes} bytes");
    }

    #[test]
    fn looks_of_a_clock_that_stands_still_or_jumps_are_bounded_too() {
        for clock in [|_: u32| 5.0, |look: u32| f64::from(look % 2) * 1e6, |look: u32| -f64::from(look)] {
            let mut series = Series::default();
            (0..5000).for_each(|look| series.push(clock(look), 7));
            assert!((1..=MOST_POINTS).contains(&series.points.len()));
            series.trend();
        }
    }

    #[test]
    fn a_copy_goes_on_from_any_look() {
        let mut series = Series::default();
        for second in 0..1000 {
            series = series.clone();
            series.push(f64::from(second), 7);
            assert!(series.points.capacity() <= MOST_POINTS);
        }
    }

    /// Looks in each of ten stretches of the last so many seconds.
    fn by_stretch(series: &Series, window: f64) -> [u32; STRETCHES] {
        let end = series.points().last().map_or(0.0, |(seconds, _)| seconds);
        let ages = series.points().map(|(seconds, _)| end - seconds).filter(|age| *age < window);
        ages.fold([0; STRETCHES], |mut sums, age| {
            sums[(age / window * STRETCHES as f64) as usize] += 1;
            sums
        })
    }

    #[test]
    fn every_stretch_of_either_window_has_looks_however_long_the_watch() {
        for seconds in [600, 900, 1500, 3600, 20_000, 90_000] {
            let series = series((0..seconds).map(|_| 7));
            let recent = by_stretch(&series, RECENT);
            assert!(recent.iter().all(|looks| *looks >= 8), "after {seconds} s: {recent:?}");
            let whole = by_stretch(&series, seconds as f64);
            assert!(whole.iter().all(|looks| *looks >= 4), "after {seconds} s: {whole:?}");
        }
    }

    #[test]
    fn the_smallest_count_survives_however_long_the_watch() {
        let series = series((0..20_000).map(|second| if second == 777 { 3 } else { 7 + second % 5 }));
        assert_eq!(series.points().map(|(_, count)| count).min(), Some(3));
    }
}
