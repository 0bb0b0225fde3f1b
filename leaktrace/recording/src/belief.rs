//! Whether the numbers of a sample can be a kernel's: what follows adds them up and need not think of forgers.

use super::frame::Damage;
use leaktrace_common::{CallsiteCounters, Direction, ProcessRow, SocketRow};
use leaktrace_model::sample::Sample;

/// Times and ages, in nanoseconds: 36 years of uptime, and the year 2112.
const LONGEST_NS: u64 = 1 << 60;
const LATEST_UNIX_NS: i64 = 1 << 62;

/// Bytes through one socket: an exbibyte.
const MOST_BYTES: u64 = 1 << 60;

/// Counts and sums of one call site, process or host.
const MOST_COUNTED: u64 = 1 << 42;

/// Refuses a sample with numbers that no host has.
///
/// # Errors
/// When there is one.
pub fn check(sample: &Sample) -> Result<(), Damage> {
    let (totals, losses) = (&sample.totals, &sample.losses);
    let counts = [
        totals.open,
        totals.flagged,
        totals.in_accept_queue,
        totals.unattributed,
        totals.adopted,
        totals.rx_queue_bytes,
        totals.memory_bytes,
        totals.orphans,
        totals.orphan_memory_bytes,
        losses.sockets_unattributed,
        losses.stacks,
        losses.stale_records,
        losses.captures,
        sample.damaged,
        sample.tcp_memory_bytes.unwrap_or(0),
        sample.cost.rss_bytes,
        sample.holders.as_ref().map_or(0, |holders| holders.descriptors),
    ];
    let is_timely = sample.boot_ns <= LONGEST_NS
        && sample.limits.now_ns <= LONGEST_NS
        && (0..=LATEST_UNIX_NS).contains(&sample.unix_ns);
    let mut processes = sample.holders.iter().flat_map(|holders| &holders.processes);
    let is_believable = is_timely
        && counts.iter().chain(&totals.verdicts).all(|count| *count <= MOST_COUNTED)
        && sample.sockets.iter().all(socket)
        && sample.callsites.iter().all(|(_, site)| callsite(site))
        && processes.all(process);
    if is_believable { Ok(()) } else { Err(Damage::Nonsense("a number that no host has")) }
}

fn socket(row: &SocketRow) -> bool {
    row.age_ns <= LONGEST_NS
        && [row.bytes_received, row.bytes_sent, row.bytes_acked].iter().all(|bytes| *bytes <= MOST_BYTES)
}

fn callsite(site: &CallsiteCounters) -> bool {
    let sums = &site.sums;
    // Sockets of unknown origin are counted down when their origin is found, for a moment maybe below zero.
    let is_witnessed = Direction::from_raw(site.key.direction as u8) != Direction::Unknown;
    let (opened, closed) = if is_witnessed { (site.tally.opened, site.tally.closed()) } else { (0, 0) };
    let counts = [opened, closed, sums.rx_queue_bytes, sums.memory_bytes];
    site.tally.longest_ns <= LONGEST_NS
        && counts.iter().chain(&site.tally.lifetimes).all(|count| *count <= MOST_COUNTED)
}

fn process(row: &ProcessRow) -> bool {
    row.memory_bytes <= MOST_COUNTED && row.rx_queue_bytes <= MOST_COUNTED
}
