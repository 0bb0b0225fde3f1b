//! Sockets by peer and by listener, which is how servers are understood: they accept everything on one stack.

use crate::growth::{Growth, Look};
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
    /// Takes in the sockets of one sample; `empty` is a look that has found none. Without all of them, counts would jump: then
    /// the past is dropped.
    pub(crate) fn ingest<'a>(&mut self, empty: Look, rows: impl Iterator<Item = &'a Observed>, sees_all: bool) {
        if !sees_all {
            self.series.clear();
            return;
        }
        let mut looks: HashMap<GroupKey, Look> = HashMap::new();
        for row in rows {
            let aged = u64::from(row.verdicts.contains(Verdict::LongLived));
            for key in GroupKey::of(row) {
                let look = looks.entry(key).or_insert(empty);
                look.open += 1;
                look.aged += aged;
            }
        }
        self.series.retain(|key, _| looks.contains_key(key));
        for (key, look) in looks {
            if self.series.len() < MOST_FOLLOWED || self.series.contains_key(&key) {
                self.series.entry(key).or_default().push(look);
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
