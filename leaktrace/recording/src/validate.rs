//! Whether the numbers of a sample are plausible. A forged file may hold any; the code that adds them up relies on these bounds.

use super::block::Damage;
use leaktrace_model::{Direction, HolderProcess, Observed, Sample, SiteCounters};

/// Times and ages, in nanoseconds: 36 years of uptime, and the year 2112.
const LONGEST_NS: u64 = 1 << 60;
const LATEST_UNIX_NS: i64 = 1 << 62;

/// Bytes through one socket: an exbibyte.
const MOST_BYTES: u64 = 1 << 60;

/// Counts and sums of one call site, process or host.
const MOST_COUNTED: u64 = 1 << 42;

/// Refuses a sample with a number that no host has.
///
/// # Errors
/// When the sample has one.
pub(crate) fn check(sample: &Sample) -> Result<(), Damage> {
    let Sample { totals, lost, .. } = sample;
    let counts = [
        totals.sums.open,
        totals.sums.flagged,
        totals.in_accept_queue,
        totals.unattributed,
        totals.adopted,
        totals.sums.rx_queue_bytes,
        totals.sums.memory_bytes,
        totals.orphans,
        totals.orphan_memory_bytes,
        lost.sockets_unattributed,
        lost.stacks,
        lost.samples,
        lost.captures,
        sample.stale_records,
        sample.tcp_memory_bytes.unwrap_or(0),
        sample.cost.rss_bytes,
        sample.holders.as_ref().map_or(0, |holders| holders.descriptors),
    ];
    let is_timely = sample.at.boot_ns <= LONGEST_NS
        && sample.pass.now_ns <= LONGEST_NS
        && (0..=LATEST_UNIX_NS).contains(&sample.at.unix_ns);
    let mut processes = sample.holders.iter().flat_map(|holders| &holders.processes);
    let is_plausible = is_timely
        && counts.iter().chain(totals.sums.verdicts.as_array()).all(|count| *count <= MOST_COUNTED)
        && sample.sockets.iter().all(socket)
        && sample.callsites.iter().all(|(_, site)| callsite(site))
        && processes.all(process);
    if is_plausible { Ok(()) } else { Err(Damage::Nonsense("a number that no host has")) }
}

fn socket(socket: &Observed) -> bool {
    socket.age_ns <= LONGEST_NS
        && [socket.bytes_received, socket.bytes_sent, socket.bytes_acked].iter().all(|bytes| *bytes <= MOST_BYTES)
}

fn callsite(site: &SiteCounters) -> bool {
    // Sockets of unknown origin are counted down when their origin is found. The count can be below zero for a moment.
    let (opened, closed) = if site.key.direction == Direction::Unknown { (0, 0) } else { (site.opened, site.closed) };
    let counts = [opened, closed, site.sums.rx_queue_bytes, site.sums.memory_bytes];
    site.longest_ns <= LONGEST_NS && counts.iter().chain(&site.lifetimes).all(|count| *count <= MOST_COUNTED)
}

fn process(process: &HolderProcess) -> bool {
    process.memory_bytes <= MOST_COUNTED && process.rx_queue_bytes <= MOST_COUNTED
}

#[cfg(test)]
mod tests;
