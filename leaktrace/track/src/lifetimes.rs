//! Lifetimes of closed sockets: the kernel side counts them in classes, reports show quantiles.

use leaktrace_model::{LIFETIME_CLASSES, LifetimeBucket, Lifetimes, SiteCounters, seconds};

/// Counts by class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Histogram {
    classes: [u64; LIFETIME_CLASSES],
    longest_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { classes: [0; LIFETIME_CLASSES], longest_ns: 0 }
    }
}

impl Histogram {
    /// Adds the counts of one call site.
    pub(crate) fn add(&mut self, counters: &SiteCounters) {
        for (sum, count) in self.classes.iter_mut().zip(counters.lifetimes) {
            *sum += count;
        }
        self.longest_ns = self.longest_ns.max(counters.longest_ns);
    }

    /// Adds another histogram.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (sum, count) in self.classes.iter_mut().zip(other.classes) {
            *sum += count;
        }
        self.longest_ns = self.longest_ns.max(other.longest_ns);
    }

    /// Quantiles in seconds; `None` if nothing was counted.
    pub(crate) fn summary(&self) -> Option<Lifetimes> {
        let count: u64 = self.classes.iter().sum();
        if count == 0 {
            return None;
        }
        let longest_s = seconds(self.longest_ns);
        let quantile = |share: f64| self.quantile(share * count as f64).min(longest_s);
        Some(Lifetimes {
            count,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            max: longest_s,
            buckets: self.buckets(longest_s),
        })
    }

    fn buckets(&self, longest_s: f64) -> Vec<LifetimeBucket> {
        let below = |class: usize| {
            let bound = (class as f64 + 10.0).exp2() / 1e9;
            if class + 1 == LIFETIME_CLASSES { bound.max(longest_s) } else { bound }
        };
        let counted = self.classes.iter().enumerate().filter(|(_, count)| **count > 0);
        counted.map(|(class, count)| LifetimeBucket { below: below(class), count: *count }).collect()
    }

    /// The value below which `rank` lifetimes lie. Within a class they are spread evenly over the logarithm.
    fn quantile(&self, rank: f64) -> f64 {
        let mut below = 0.0;
        for (class, count) in self.classes.iter().enumerate() {
            let count = *count as f64;
            if count > 0.0 && below + count >= rank {
                let within = ((rank - below) / count).clamp(0.0, 1.0);
                return (class as f64 + 9.0 + within).exp2() / 1e9;
            }
            below += count;
        }
        seconds(self.longest_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The class of a lifetime, see [`SiteCounters::lifetimes`].
    fn class(lifetime_ns: u64) -> usize {
        let bits = (u64::BITS - lifetime_ns.leading_zeros()) as usize;
        bits.saturating_sub(10).min(LIFETIME_CLASSES - 1)
    }

    fn counters(lifetimes_ns: &[u64]) -> SiteCounters {
        let mut counters = SiteCounters::default();
        for lifetime in lifetimes_ns {
            counters.lifetimes[class(*lifetime)] += 1;
            counters.longest_ns = counters.longest_ns.max(*lifetime);
        }
        counters
    }

    #[test]
    fn nothing_closed_has_no_lifetimes() {
        assert_eq!(Histogram::default().summary(), None);
    }

    #[test]
    fn every_lifetime_is_in_the_bucket_that_ends_above_it() {
        let mut histogram = Histogram::default();
        histogram.add(&counters(&[0, 1_000, 1_500, 1_000_000_000, u64::MAX]));
        let buckets = histogram.summary().unwrap_or_default().buckets;
        let found: Vec<(u64, u64)> = buckets.iter().map(|bucket| ((bucket.below * 1e9) as u64, bucket.count)).collect();
        assert_eq!(found, [(1 << 10, 2), (1 << 11, 1), (1 << 30, 1), (u64::MAX, 1)]);
    }

    #[test]
    fn quantiles_lie_within_the_class_of_the_true_value() {
        let mut histogram = Histogram::default();
        let lifetimes: Vec<u64> = (1..=1000).map(|n| n * 1_000_000).collect();
        histogram.add(&counters(&lifetimes));
        let summary = histogram.summary().unwrap_or_default();
        assert_eq!((summary.count, summary.max), (1000, 1.0));
        assert!((0.25..=1.0).contains(&summary.p50), "{}", summary.p50);
        assert!(summary.p50 <= summary.p90 && summary.p90 <= summary.p99 && summary.p99 <= summary.max);
    }
}
