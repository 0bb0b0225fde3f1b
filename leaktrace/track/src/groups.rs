//! Sockets by peer and by listener. Servers are understood by these, because they accept everything on one stack.

use crate::growth::{Growth, Reading};
use leaktrace_model::{Group, GroupKey, Observed, Verdict};
use std::collections::HashMap;

/// Most groups whose number of sockets is followed over time, at 5 KiB each.
const MOST_FOLLOWED: usize = 2048;

/// Open sockets of each group over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histories {
    series: HashMap<GroupKey, Growth>,
}

impl Histories {
    /// Takes in the sockets of one sample; `empty` is a reading without sockets. If the sample does not show every
    /// socket, counts would jump, so the history is dropped.
    pub(crate) fn ingest<'a>(&mut self, empty: Reading, rows: impl Iterator<Item = &'a Observed>, sees_all: bool) {
        if !sees_all {
            self.series.clear();
            return;
        }
        let mut readings: HashMap<GroupKey, Reading> = HashMap::new();
        for row in rows {
            let aged = u64::from(row.verdicts.contains(Verdict::LongLived));
            for key in GroupKey::of(row) {
                let reading = readings.entry(key).or_insert(empty);
                reading.open += 1;
                reading.aged += aged;
            }
        }
        self.series.retain(|key, _| readings.contains_key(key));
        for (key, reading) in readings {
            if self.series.len() < MOST_FOLLOWED || self.series.contains_key(&key) {
                self.series.entry(key).or_default().push(reading);
            }
        }
    }

    /// Sums of `rows` by group, in no order.
    pub(crate) fn gather<'a>(&self, rows: impl Iterator<Item = &'a Observed>) -> HashMap<GroupKey, Group> {
        let mut groups: HashMap<GroupKey, Group> = HashMap::new();
        for row in rows {
            for key in GroupKey::of(row) {
                groups.entry(key).or_insert_with(|| self.start(key)).sums.add(row);
            }
        }
        groups
    }

    fn start(&self, key: GroupKey) -> Group {
        Group { trend: self.series.get(&key).and_then(Growth::trend), ..Group::new(key) }
    }
}
