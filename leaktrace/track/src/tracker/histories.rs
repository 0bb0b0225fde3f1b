//! The readings that histories consist of: how many sockets each call site and peer has open, after the filters and the
//! ignore list.

use super::Tracker;
use crate::{growth::Reading, sites::Site};
use leaktrace_model::{Filter, Observed, SeenBy, Verdict, seconds};
use std::collections::HashMap;

/// Open sockets, and those that have been open for longer than the threshold.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    all: u64,
    aged: u64,
}

impl Tracker {
    /// Keeps how many sockets are open at each call site and peer, and how many of them for longer than the threshold.
    pub(super) fn remember(&mut self) {
        let threshold_ns = u64::try_from(self.pass.limits.threshold.as_nanos()).unwrap_or(u64::MAX);
        let empty =
            Reading { seconds: seconds(self.now.boot_ns), threshold_s: seconds(threshold_ns), ..Reading::default() };
        let sees_all = self.sees_all();
        let passes_all = self.settings.filter.is_empty() && self.ignore.is_empty();
        let rows = self.rows.iter().chain(&self.dead);
        let rows: Vec<&Observed> = rows.filter(|row| passes_all || self.passes(row)).collect();
        let open: Vec<(u64, Option<Open>)> = if self.counts_rows() {
            let by_site = self.by_site(rows.iter().copied());
            let open_at = |site: &Site| by_site.get(&site.id).copied().unwrap_or_default();
            // Without all sockets, counts would jump.
            self.sites.iter().map(|site| (site.id, sees_all.then(|| open_at(site)))).collect()
        } else {
            let dead = self.by_site(rows.iter().copied().filter(|row| row.seen_by == SeenBy::Holders));
            let open_at = |site: &Site| {
                let Open { all, aged } = self.open_at(site);
                Open { all, aged: aged + dead.get(&site.id).map_or(0, |dead| dead.aged) }
            };
            self.sites.iter().map(|site| (site.id, Some(open_at(site)))).collect()
        };
        let reading = |open: Open| Reading { open: open.all, aged: open.aged, ..empty };
        self.sites.remember(open.into_iter().map(|(id, open)| (id, open.map(reading))));
        self.peers.ingest(empty, rows.into_iter(), sees_all);
    }

    /// Whether single sockets must be counted, because the filters or the ignore list ask about them.
    fn counts_rows(&self) -> bool {
        !self.settings.filter.is_empty() || self.ignore.iter().any(Filter::needs_sockets)
    }

    /// Sums over rows by call site.
    fn by_site<'a>(&self, rows: impl Iterator<Item = &'a Observed>) -> HashMap<u64, Open> {
        let mut sums: HashMap<u64, Open> = HashMap::new();
        for row in rows {
            if let Some(site) = self.sites.of_index(row.callsite) {
                let sum = sums.entry(site.id).or_default();
                sum.all += 1;
                sum.aged += u64::from(row.verdicts.contains(Verdict::LongLived));
            }
        }
        sums
    }

    /// What the kernel side has counted at a call site, without ignored processes. Sockets that TCP has finished with
    /// count as open, but not as aged, because no pass sees them.
    fn open_at(&self, site: &Site) -> Open {
        let mut counts = site.retired.clone();
        let mut aged = 0;
        let has_ignore = !self.ignore.is_empty();
        for counters in self.sites.members(site) {
            if has_ignore && self.ignores_process(site, counters.key.pid) {
                continue;
            }
            counts.add(counters);
            if self.sites.is_current(counters) {
                aged += counters.sums.verdicts.get(Verdict::LongLived);
            }
        }
        Open { all: counts.open(), aged }
    }
}

#[cfg(test)]
mod tests;
