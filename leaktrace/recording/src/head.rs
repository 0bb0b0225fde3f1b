//! The numbers of a sample, as they are written: times, thresholds, sums, losses, costs.
//!
//! Written in their order without names, as all of [`super::wire`].

use super::wire::nanoseconds;
use leaktrace_common::{Losses, PassSettings, PassTotals};
use leaktrace_model::sample::{Cost, Sample};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The numbers of a sample that are no rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    boot_ns: u64,
    unix_ns: i64,
    /// Fields of [`PassSettings`], in their order.
    limits: [u64; 9],
    /// Fields of [`PassTotals`], in their order, without the verdicts.
    totals: [u64; 10],
    verdicts: [u64; 10],
    /// Fields of [`Losses`], in their order.
    losses: [u64; 4],
    damaged: u64,
    tcp_memory_bytes: Option<u64>,
    /// Sampling pass, its processor time, holders pass, processor time of leaktrace (nanoseconds), resident memory,
    /// namespaces.
    cost: [u64; 6],
}

impl Head {
    /// The numbers of a sample.
    pub fn of(sample: &Sample) -> Self {
        let (limits, totals, losses, cost) = (&sample.limits, &sample.totals, &sample.losses, &sample.cost);
        Self {
            boot_ns: sample.boot_ns,
            unix_ns: sample.unix_ns,
            limits: [
                limits.now_ns,
                limits.sweep_before_ns,
                limits.threshold_ns,
                limits.stall.into(),
                limits.idle.into(),
                limits.emit_verdicts.into(),
                limits.emit.into(),
                limits.pass.into(),
                limits.held_pass.into(),
            ],
            totals: [
                totals.open,
                totals.flagged,
                totals.in_accept_queue,
                totals.unattributed,
                totals.adopted,
                totals.rx_queue_bytes,
                totals.memory_bytes,
                totals.orphans,
                totals.orphan_memory_bytes,
                totals.shown,
            ],
            verdicts: totals.verdicts,
            losses: [losses.sockets_unattributed, losses.stacks, losses.stale_records, losses.captures],
            damaged: sample.damaged,
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

    /// What the passes of the sample went by.
    pub fn limits(&self) -> PassSettings {
        let [now_ns, sweep_before_ns, threshold_ns, stall, idle, emit_verdicts, emit, pass, held_pass] = self.limits;
        PassSettings {
            now_ns,
            sweep_before_ns,
            threshold_ns,
            stall: stall as u32,
            idle: idle as u32,
            emit_verdicts: emit_verdicts as u32,
            emit: emit as u32,
            pass: pass as u16,
            held_pass: held_pass as u16,
            _pad: 0,
        }
    }

    /// A sample of these numbers, with nothing else in it.
    pub fn sample(&self) -> Sample {
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
            shown,
        ] = self.totals;
        let [sockets_unattributed, stacks, stale_records, captures] = self.losses;
        let [sockets, sockets_cpu, holders, cpu, rss_bytes, namespaces] = self.cost;
        Sample {
            boot_ns: self.boot_ns,
            unix_ns: self.unix_ns,
            limits: self.limits(),
            totals: PassTotals {
                open,
                flagged,
                in_accept_queue,
                unattributed,
                adopted,
                rx_queue_bytes,
                memory_bytes,
                orphans,
                orphan_memory_bytes,
                shown,
                verdicts: self.verdicts,
                ..PassTotals::default()
            },
            losses: Losses { sockets_unattributed, stacks, stale_records, captures },
            damaged: self.damaged,
            tcp_memory_bytes: self.tcp_memory_bytes,
            cost: Cost {
                sockets: Duration::from_nanos(sockets),
                sockets_cpu: Duration::from_nanos(sockets_cpu),
                holders: Duration::from_nanos(holders),
                cpu: Duration::from_nanos(cpu),
                rss_bytes,
                namespaces: namespaces as u32,
                ..Cost::default()
            },
            ..Sample::default()
        }
    }
}
