//! Counts over time, for sparklines: of everything, and of every row of the tables.
//!
//! A series covers the whole run in a bounded number of points: when it is full, neighbours become one point.

use leaktrace_model::GroupKey;
use std::collections::HashMap;

/// Most points of a series. In a full series, every two neighbours become one point.
const POINTS: usize = 256;

/// Most rows that have a series: 24 MiB when all are full.
const ROWS: usize = 24_576;

/// Whose counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    /// A call site, by id.
    Callsite(u64),
    /// A process, by id.
    Process(u32),
    /// A peer or listener.
    Group(GroupKey),
}

#[derive(Clone, Debug, Default)]
struct Series {
    /// Slot of the first point.
    start: u64,
    points: Vec<u32>,
}

/// All series.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Samples so far.
    samples: u64,
    /// How many samples share a slot, as a power of two.
    shift: u32,
    /// Time from the first sample to the last, in seconds.
    seconds: f64,
    total: Series,
    rows: HashMap<Whose, Series>,
}

impl History {
    /// Begins a sample, `elapsed_s` after the one before. [`Self::note`] then adds the rows.
    pub(crate) fn advance(&mut self, elapsed_s: f64, open: u64) {
        if self.samples > 0 {
            self.seconds += elapsed_s.max(0.0);
        }
        if self.samples >> self.shift >= POINTS as u64 {
            self.shift += 1;
            let newest = self.samples >> self.shift;
            self.total.halve();
            for series in self.rows.values_mut() {
                series.halve();
            }
            self.rows.retain(|_, series| series.end() + 8 > newest);
        }
        self.samples += 1;
        let slot = self.slot();
        self.total.set(slot, open);
    }

    /// The count of one row in the sample that was begun last.
    pub(crate) fn note(&mut self, whose: Whose, open: u64) {
        let slot = self.slot();
        let room = self.rows.len() < ROWS;
        match self.rows.get_mut(&whose) {
            Some(series) => series.set(slot, open),
            None if room => {
                let mut series = Series { start: slot, points: Vec::new() };
                series.set(slot, open);
                self.rows.insert(whose, series);
            }
            None => {}
        }
    }

    fn slot(&self) -> u64 {
        self.samples.saturating_sub(1) >> self.shift
    }

    /// Time covered so far, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Open sockets over the whole time.
    pub(crate) fn total(&self) -> Points<'_> {
        Points { lead: 0, points: &self.total.points }
    }

    /// Open sockets of a row over the whole time.
    pub(crate) fn row(&self, whose: Whose) -> Option<Points<'_>> {
        let series = self.rows.get(&whose)?;
        Some(Points { lead: series.start as usize, points: &series.points })
    }
}

impl Series {
    /// The slot after the last point.
    fn end(&self) -> u64 {
        self.start + self.points.len() as u64
    }

    /// Sets the count of `slot`; slots between the last one and this repeat the last count.
    fn set(&mut self, slot: u64, open: u64) {
        let open = u32::try_from(open).unwrap_or(u32::MAX);
        let at = usize::try_from(slot.saturating_sub(self.start)).unwrap_or(usize::MAX).min(POINTS);
        let last = self.points.last().copied().unwrap_or(open);
        if self.points.len() <= at {
            self.points.resize(at, last);
            self.points.push(open);
        } else {
            self.points[at] = open;
        }
    }

    /// Makes one slot of every two. The later count is kept, as a curve shows levels and not sums.
    fn halve(&mut self) {
        let odd = usize::from(self.start % 2 == 1);
        let mut halved = Vec::with_capacity(self.points.len() / 2 + 1);
        halved.extend(self.points.first().filter(|_| odd == 1));
        for pair in self.points.get(odd..).unwrap_or(&[]).chunks(2) {
            halved.extend(pair.last());
        }
        self.start /= 2;
        self.points = halved;
    }
}

/// A series, seen from the first slot of the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Points<'a> {
    /// Slots before the first point.
    pub(crate) lead: usize,
    /// Counts.
    pub(crate) points: &'a [u32],
}

impl Points<'_> {
    /// At most `width` counts that cover the whole time, oldest first; 0 before the first one.
    /// Where points share a column the highest is shown.
    pub(crate) fn columns(&self, width: usize) -> Vec<u32> {
        let slots = self.lead + self.points.len();
        let columns = slots.min(width);
        let at = |slot: usize| slot.checked_sub(self.lead).and_then(|i| self.points.get(i)).copied().unwrap_or(0);
        (0..columns)
            .map(|column| {
                let from = column * slots / columns;
                let to = ((column + 1) * slots / columns).max(from + 1);
                (from..to).map(at).max().unwrap_or(0)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_stays_bounded_and_keeps_its_beginning() {
        let mut history = History::default();
        for n in 0..10_000u64 {
            history.advance(1.0, n);
            if n >= 5000 {
                history.note(Whose::Callsite(1), n - 5000);
            }
        }
        assert!(history.total.points.len() <= POINTS);
        assert_eq!(history.seconds(), 9999.0);
        let columns = history.total().columns(10);
        assert_eq!(columns.len(), 10);
        assert!(columns.is_sorted() && columns[0] < 1500 && columns[9] == 9999, "{columns:?}");
        let row = history.row(Whose::Callsite(1)).unwrap().columns(10);
        assert!(row[..4].iter().all(|n| *n == 0) && row[9] == 4999, "{row:?}");
    }

    #[test]
    fn a_row_that_is_gone_for_long_loses_its_series() {
        let mut history = History::default();
        history.advance(1.0, 1);
        history.note(Whose::Process(1), 1);
        for _ in 0..2000 {
            history.advance(1.0, 1);
        }
        assert!(history.row(Whose::Process(1)).is_none());
    }

    #[test]
    fn nothing_known_gives_no_columns() {
        assert!(History::default().total().columns(10).is_empty());
        assert!(Points { lead: 3, points: &[] }.columns(0).is_empty());
    }
}
