//! The coarse clock that socket histories are kept in.

/// A point in time or a span, in units of 2^24 ns (16.8 ms) of `CLOCK_BOOTTIME`.
///
/// Four bytes keep a record at 64 bytes; they wrap after 2.2 years of uptime, and spans are taken with
/// wrapping subtraction.
pub type Ticks = u32;

const TICK_SHIFT: u32 = 24;

/// A point in time in ticks, rounded down. It wraps as ticks do: for spans there is [`span_from_ns`].
#[inline(always)]
pub const fn ticks_from_ns(ns: u64) -> Ticks {
    (ns >> TICK_SHIFT) as Ticks
}

/// A span of nanoseconds in ticks, rounded down; the longest there is for one that is longer.
#[inline(always)]
pub const fn span_from_ns(ns: u64) -> Ticks {
    let ticks = ns >> TICK_SHIFT;
    if ticks > Ticks::MAX as u64 { Ticks::MAX } else { ticks as Ticks }
}

/// The span that `ticks` stand for, in nanoseconds.
#[inline(always)]
pub const fn ticks_to_ns(ticks: Ticks) -> u64 {
    (ticks as u64) << TICK_SHIFT
}
