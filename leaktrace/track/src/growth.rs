//! Whether a number of open sockets grows: counts over time, and their trend.
//!
//! The open sockets of a busy program go up and down with its load. A leak outlives that. So, once a watch is twice as
//! old as the threshold, only those open sockets are judged that are `long-lived`: churn does not last that long, and a
//! leak of one socket a minute stands out. Before that, all open sockets are judged, because there is nothing better.
//!
//! A leak raises the floor. The window is cut into ten stretches, and the smallest count of each is its floor. The
//! floors grow when
//! - they rise more steadily than chance allows (Mann-Kendall test, one-sided 0.1 %), and by at least two sockets,
//! - they still rise in the later half; otherwise a program has started and reached its level,
//! - the mean step between them is at least 2.5 times its standard error: a count that wanders steps down as far as up.
//!
//! Two windows are judged, the last ten minutes and the whole history; growth in one is enough. The rate is the
//! Theil-Sen slope of the same floors.
//!
//! How often this misses a leak or accuses a healthy program was measured: `leaktrace/docs/benchmarks.md`, "Growth".

#[cfg(test)]
mod rates;
#[cfg(test)]
mod synthetic;

use leaktrace_model::Trend;

/// Number of stretches that a window is cut into.
const STRETCHES: usize = 10;

/// Most readings of a series, at 8 bytes each. Every call site and peer has two series.
const MOST_POINTS: usize = 320;

/// Steps that the shorter window is thinned out to, at most twice as many: each stretch keeps at least eight readings.
const RECENT_STEPS: f32 = 80.0;

/// The same for older readings, over the whole history.
const OLD_STEPS: f32 = 50.0;

/// Fewest readings that say anything.
const FEWEST_POINTS: usize = STRETCHES + 2;

/// The shorter of the two windows, in seconds.
pub(crate) const RECENT: f64 = 600.0;

/// Standard deviations by which the trend must exceed chance: one-sided 0.1 %.
const SURE: f64 = 3.09;

/// Smallest rise that counts, in sockets over the window: a smaller one may be a pool that still fills.
const LEAST_RISE: f64 = 2.0;

/// Smallest mean step from floor to floor, in standard errors. A count that wanders rarely reaches it.
const STEADY: f64 = 2.5;

/// The share of the whole rise that the later half must have.
const LATER_SHARE: f64 = 0.2;

/// Counts of sockets that belong together, over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Growth {
    open: Series,
    /// Those above the threshold; begins when there can be one.
    aged: Series,
    first_s: Option<f64>,
    threshold_s: f64,
}

/// How many sockets were open at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// When, by any clock that only goes forward.
    pub seconds: f64,
    /// Sockets that are open.
    pub open: u64,
    /// Those that have been open for at least the threshold.
    pub aged: u64,
    /// The threshold.
    pub threshold_s: f64,
}

impl Growth {
    /// Adds a reading.
    pub(crate) fn push(&mut self, reading: Reading) {
        if reading.threshold_s != self.threshold_s {
            self.aged = Series::default();
            self.threshold_s = reading.threshold_s;
        }
        self.open.push(reading.seconds, reading.open);
        // Ages count from the first reading at the earliest. Until the threshold has passed since then, old sockets
        // look young.
        let first_s = *self.first_s.get_or_insert(reading.seconds);
        if reading.seconds - first_s > reading.threshold_s {
            self.aged.push(reading.seconds, reading.aged);
        }
    }

    /// How many readings are kept.
    pub(crate) fn readings(&self) -> usize {
        self.open.points.len()
    }

    /// The trend; `None` while there are too few readings.
    pub(crate) fn trend(&self) -> Option<Trend> {
        let tells = self.aged.seconds() >= self.threshold_s;
        let aged = if tells { self.aged.trend() } else { None };
        let open = self.open.trend()?;
        // The rate is that of the leak if there is one, else that of all open sockets.
        Some(aged.map_or(open, |aged| if aged.growing { aged } else { Trend { growing: false, ..open } }))
    }
}

/// Counts over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// When the first reading was taken.
    start: f64,
    /// Seconds since then, and the count.
    points: Vec<(f32, u32)>,
}

impl Series {
    /// Adds a count at `seconds` of any clock that only goes forward.
    pub(crate) fn push(&mut self, seconds: f64, count: u64) {
        if self.points.is_empty() {
            self.start = seconds;
        }
        if self.points.len() >= MOST_POINTS {
            self.thin_out();
        }
        if self.points.len() == self.points.capacity() {
            // A vector that grows by itself would reserve up to twice what is ever used.
            self.points.reserve_exact(self.points.len().max(16).min(MOST_POINTS - self.points.len()));
        }
        self.points.push(((seconds - self.start) as f32, u32::try_from(count).unwrap_or(u32::MAX)));
    }

    /// Keeps one reading in each step; steps are longer before the shorter window. Keeps the smallest, because floors
    /// must survive.
    fn thin_out(&mut self) {
        let end = self.points.last().map_or(0.0, |(seconds, _)| *seconds);
        // Steps are powers of two: short steps lie within long ones, and what was thinned out once stays as it is.
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
            // Only a clock that jumps back and forth gets here.
            self.points.drain(..kept / 2);
        }
    }

    /// The counts, oldest first.
    pub(crate) fn points(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.points.iter().map(|(seconds, count)| (self.start + f64::from(*seconds), u64::from(*count)))
    }

    /// Time from the first reading to the last.
    fn seconds(&self) -> f64 {
        self.points.first().zip(self.points.last()).map_or(0.0, |(first, last)| f64::from(last.0 - first.0))
    }

    /// The trend; `None` while there are too few readings.
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

/// Whether floors rise more than chance allows, until the end, and step by step.
fn rises(floors: &[(f64, f64)]) -> bool {
    let rise = |part: &[(f64, f64)]| part.first().zip(part.last()).map_or(0.0, |(first, last)| last.1 - first.1);
    let later = &floors[floors.len() / 2..];
    let whole = rise(floors);
    whole >= LEAST_RISE
        && rise(later) >= whole * LATER_SHARE
        && mann_kendall(floors) >= SURE
        && mean_step(floors) >= STEADY
}

/// The mean step from one point to the next, in its standard errors.
fn mean_step(points: &[(f64, f64)]) -> f64 {
    let steps: Vec<f64> = points.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
    let n = steps.len() as f64;
    let mean = steps.iter().sum::<f64>() / n;
    let variance = steps.iter().map(|step| (step - mean).powi(2)).sum::<f64>() / (n - 1.0);
    // Equal steps upwards have no error: infinity is the right answer.
    if mean > 0.0 { mean / (variance / n).sqrt() } else { 0.0 }
}

/// Standard deviations by which rising pairs outnumber falling ones, corrected for ties.
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

/// Median slope of all pairs.
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
    fn a_few_readings_say_nothing() {
        assert_eq!(series([1, 2, 3]).trend(), None);
    }

    #[test]
    fn a_long_watch_keeps_a_bounded_number_of_readings() {
        let series = series((0..50_000).map(|_| 7));
        assert!(series.points.len() <= MOST_POINTS);
        let bytes = series.points.capacity() * size_of::<(f32, u32)>();
        assert!(bytes <= 2560, "{bytes} bytes");
    }

    #[test]
    fn readings_of_a_clock_that_stands_still_or_jumps_are_bounded_too() {
        for clock in [|_: u32| 5.0, |reading: u32| f64::from(reading % 2) * 1e6, |reading: u32| -f64::from(reading)] {
            let mut series = Series::default();
            (0..5000).for_each(|reading| series.push(clock(reading), 7));
            assert!((1..=MOST_POINTS).contains(&series.points.len()));
            series.trend();
        }
    }

    #[test]
    fn a_copy_goes_on_from_any_reading() {
        let mut series = Series::default();
        for second in 0..1000 {
            series = series.clone();
            series.push(f64::from(second), 7);
            assert!(series.points.capacity() <= MOST_POINTS);
        }
    }

    /// Readings in each of ten stretches of the last `window` seconds.
    fn by_stretch(series: &Series, window: f64) -> [u32; STRETCHES] {
        let end = series.points().last().map_or(0.0, |(seconds, _)| seconds);
        let ages = series.points().map(|(seconds, _)| end - seconds).filter(|age| *age < window);
        ages.fold([0; STRETCHES], |mut sums, age| {
            sums[(age / window * STRETCHES as f64) as usize] += 1;
            sums
        })
    }

    #[test]
    fn every_stretch_of_either_window_has_readings_however_long_the_watch() {
        for seconds in [600, 900, 1500, 3600, 20_000, 90_000] {
            let series = series((0..seconds).map(|_| 7));
            let recent = by_stretch(&series, RECENT);
            assert!(recent.iter().all(|readings| *readings >= 8), "after {seconds} s: {recent:?}");
            let whole = by_stretch(&series, seconds as f64);
            assert!(whole.iter().all(|readings| *readings >= 4), "after {seconds} s: {whole:?}");
        }
    }

    #[test]
    fn the_smallest_count_survives_however_long_the_watch() {
        let series = series((0..20_000).map(|second| if second == 777 { 3 } else { 7 + second % 5 }));
        assert_eq!(series.points().map(|(_, count)| count).min(), Some(3));
    }
}
