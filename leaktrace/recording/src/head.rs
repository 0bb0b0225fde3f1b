//! The numbers of a sample, as they are written: times, thresholds, sums, losses, costs.
//!
//! Fields are written in their order without names, like everything in `wire`. Where the model has no field for a number of
//! version 1, it is written as 0 and ignored when it is read.

use super::time::nanoseconds;
use leaktrace_model::{
    Cost, HostTotals, Limits, Lost, Moment, Pass, Sample, Shown, Sums, Ticks, Verdict, VerdictCounts, Verdicts,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The numbers of a sample that are not in rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    boot_ns: u64,
    unix_ns: i64,
    /// What the passes count as now (nanoseconds); unused, was the time before which a record must have begun to be swept; threshold (nanoseconds); stall
    /// and idle (ticks); which sockets are shown one by one (bits of verdicts, then bits such as [`EMIT_ALL`]); number of the pass
    /// and of the holders pass.
    pass: [u64; 9],
    /// Open, flagged, in an accept queue, unattributed, adopted, payload in receive queues, memory, orphans, memory of orphans; unused,
    /// was the last socket that the pass showed.
    totals: [u64; 10],
    /// The first ten in the order of the table of verdicts. Those of later verdicts are in [`more_verdicts`]'s item.
    verdicts: [u64; FIRST_VERDICTS],
    /// Sockets without a record, stacks, stale records, stack copies.
    losses: [u64; 4],
    /// Samples that were lost or damaged.
    samples_lost: u64,
    tcp_memory_bytes: Option<u64>,
    /// Sampling pass, its processor time, holders pass, processor time of leaktrace (nanoseconds), resident memory,
    /// namespaces.
    cost: [u64; 6],
}

/// Bit: every open socket is shown one by one.
const EMIT_ALL: u64 = 1;

/// Verdicts of version 1, of which [`Head`] has the counts.
const FIRST_VERDICTS: usize = 10;
const _: () = assert!(Verdict::COUNT >= FIRST_VERDICTS);

/// Counts of a sample's verdicts that [`Head`] has no place for; empty while there are none.
pub(crate) fn more_verdicts(sample: &Sample) -> &[u64] {
    &sample.totals.sums.verdicts.as_array()[FIRST_VERDICTS..]
}

/// All counts of verdicts: the first ones, then as many of `more` as this version knows.
fn all_verdicts(first: &[u64; FIRST_VERDICTS], more: &[u64]) -> VerdictCounts {
    let mut counts = [0; Verdict::COUNT];
    counts.iter_mut().zip(first.iter().chain(more)).for_each(|(count, recorded)| *count = *recorded);
    VerdictCounts::new(counts)
}

fn ticks(span: Duration) -> u64 {
    Ticks::from_duration(span).0.into()
}

impl Head {
    /// The numbers of a sample.
    pub(crate) fn of(sample: &Sample) -> Self {
        let Sample { at, pass, totals, lost, cost, .. } = sample;
        let (emit_verdicts, emit) = match pass.shown {
            Shown::With(verdicts) => (verdicts.0, 0),
            Shown::All => (0, EMIT_ALL),
        };
        Self {
            boot_ns: at.boot_ns,
            unix_ns: at.unix_ns,
            pass: [
                pass.now_ns,
                0,
                nanoseconds(pass.limits.threshold),
                ticks(pass.limits.stall),
                ticks(pass.limits.idle),
                emit_verdicts.into(),
                emit,
                pass.number.into(),
                pass.held_pass.into(),
            ],
            totals: [
                totals.sums.open,
                totals.sums.flagged,
                totals.in_accept_queue,
                totals.unattributed,
                totals.adopted,
                totals.sums.rx_queue_bytes,
                totals.sums.memory_bytes,
                totals.orphans,
                totals.orphan_memory_bytes,
                0,
            ],
            verdicts: std::array::from_fn(|at| totals.sums.verdicts.as_array()[at]),
            losses: [lost.sockets_unattributed, lost.stacks, sample.stale_records, lost.captures],
            samples_lost: lost.samples,
            tcp_memory_bytes: sample.tcp_memory_bytes,
            cost: [
                nanoseconds(cost.sockets),
                nanoseconds(cost.sockets_cpu),
                nanoseconds(cost.holders),
                nanoseconds(cost.cpu),
                cost.rss_bytes,
                cost.namespaces.into(),
            ],
        }
    }

    fn pass(&self) -> Pass {
        let [now_ns, _sweep_before, threshold, stall, idle, emit_verdicts, emit, number, held_pass] = self.pass;
        let span = |ticks: u64| Ticks(ticks as u32).duration();
        Pass {
            number: number as u16,
            held_pass: held_pass as u16,
            now_ns,
            limits: Limits { threshold: Duration::from_nanos(threshold), stall: span(stall), idle: span(idle) },
            shown: if emit & EMIT_ALL != 0 { Shown::All } else { Shown::With(Verdicts(emit_verdicts as u32)) },
        }
    }

    fn totals(&self, more: &[u64]) -> HostTotals {
        let [
            open,
            flagged,
            in_accept_queue,
            unattributed,
            adopted,
            rx_queue_bytes,
            memory_bytes,
            orphans,
            orphan_memory_bytes,
            _shown,
        ] = self.totals;
        let verdicts = all_verdicts(&self.verdicts, more);
        HostTotals {
            sums: Sums { open, flagged, rx_queue_bytes, memory_bytes, oldest: None, verdicts },
            in_accept_queue,
            unattributed,
            adopted,
            orphans,
            orphan_memory_bytes,
        }
    }

    /// A sample of these numbers and of the counts of [`more_verdicts`], without anything else.
    pub(crate) fn sample(&self, more: &[u64]) -> Sample {
        let [sockets_unattributed, stacks, stale_records, captures] = self.losses;
        let [sockets, sockets_cpu, holders, cpu, rss_bytes, namespaces] = self.cost;
        Sample {
            at: Moment { boot_ns: self.boot_ns, unix_ns: self.unix_ns },
            pass: self.pass(),
            totals: self.totals(more),
            lost: Lost { sockets_unattributed, stacks, samples: self.samples_lost, captures },
            stale_records,
            tcp_memory_bytes: self.tcp_memory_bytes,
            cost: Cost {
                sockets: Duration::from_nanos(sockets),
                sockets_cpu: Duration::from_nanos(sockets_cpu),
                walks: None,
                holders: Duration::from_nanos(holders),
                cpu: Duration::from_nanos(cpu),
                rss_bytes,
                namespaces: namespaces as u32,
            },
            ..Sample::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_later_verdicts_are_taken_as_far_as_they_are_known() {
        let first = std::array::from_fn(|at| at as u64 + 1);
        assert_eq!(all_verdicts(&first, &[]).as_array()[..FIRST_VERDICTS], first);
        assert_eq!(all_verdicts(&first, &[7; 100]).as_array()[..FIRST_VERDICTS], first);
        assert!(all_verdicts(&first, &[7; 100]).as_array()[FIRST_VERDICTS..].iter().all(|count| *count == 7));
    }
}
