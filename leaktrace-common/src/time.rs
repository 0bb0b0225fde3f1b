//! The coarse clock in which a record keeps the history of its socket.

/// A point in time or a span, in units of 2^24 ns (16.8 ms) of `CLOCK_BOOTTIME`.
///
/// Four bytes keep a record at 64 bytes. They wrap after 2.2 years of uptime, so spans are computed with wrapping subtraction.
pub type Ticks = u32;

const TICK_SHIFT: u32 = 24;

/// A point in time in ticks, rounded down and wrapped. For spans use [`span_from_ns`].
#[inline(always)]
pub const fn ticks_from_ns(ns: u64) -> Ticks {
    (ns >> TICK_SHIFT) as Ticks
}

/// A span of nanoseconds in ticks, rounded down. A span too long for ticks becomes the longest possible one.
#[inline(always)]
pub const fn span_from_ns(ns: u64) -> Ticks {
    let ticks = ns >> TICK_SHIFT;
    if ticks > Ticks::MAX as u64 { Ticks::MAX } else { ticks as Ticks }
}

/// A span of ticks in nanoseconds.
#[inline(always)]
pub const fn ticks_to_ns(ticks: Ticks) -> u64 {
    (ticks as u64) << TICK_SHIFT
}
