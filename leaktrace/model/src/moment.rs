//! Times, one type for each kind: moments, spans in the kernel side's ticks, thresholds, the window of a report.

use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// Nanoseconds as the seconds that reports print.
pub fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// A moment by both clocks. Prints and serializes as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// `CLOCK_BOOTTIME`, nanoseconds: the clock that sockets are dated with.
    pub boot_ns: u64,
    /// Nanoseconds since 1970.
    pub unix_ns: i64,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_1970 = Duration::from_nanos(u64::try_from(self.unix_ns).unwrap_or(0));
        humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since_1970).fmt(f)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The span that a report covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// When watching began.
    pub start: Moment,
    /// The last sample.
    pub end: Moment,
}

impl Window {
    /// Length in seconds, by `CLOCK_BOOTTIME`.
    pub fn seconds(&self) -> f64 {
        seconds(self.end.boot_ns.saturating_sub(self.start.boot_ns))
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut window = serializer.serialize_struct("Window", 3)?;
        window.serialize_field("start", &self.start)?;
        window.serialize_field("end", &self.end)?;
        window.serialize_field("seconds", &self.seconds())?;
        window.end()
    }
}

/// A span as the kernel side counts it: units of 2^24 ns (16.8 ms).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks(pub u32);

impl Ticks {
    /// A tick is two to the power of this many nanoseconds. `leaktrace-kernel` asserts that the kernel side agrees.
    pub const SHIFT: u32 = 24;

    /// A duration in ticks, rounded down. One that is too long becomes the longest span.
    pub fn from_duration(duration: Duration) -> Self {
        Self(u32::try_from(duration.as_nanos() >> Self::SHIFT).unwrap_or(u32::MAX))
    }

    /// In nanoseconds.
    pub const fn ns(self) -> u64 {
        (self.0 as u64) << Self::SHIFT
    }

    /// In seconds, as reports print them.
    pub fn seconds(self) -> f64 {
        seconds(self.ns())
    }

    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_nanos(self.ns())
    }
}

/// The thresholds of verdicts, which may change while watching.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Age from which an open socket is `long-lived`.
    pub threshold: Duration,
    /// How long a stuck state must last.
    pub stall: Duration,
    /// How long without payload counts as idle.
    pub idle: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_as_rfc_3339() {
        assert_eq!(Moment { boot_ns: 0, unix_ns: 1_764_590_400_123_000_000 }.to_string(), "2025-12-01T12:00:00.123Z");
        assert_eq!(Moment { boot_ns: 0, unix_ns: -5 }.to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_duration_longer_than_ticks_can_count_is_the_longest_span() {
        assert_eq!(Ticks::from_duration(Duration::from_secs(36_000 * 86_400)), Ticks(u32::MAX));
        assert_eq!(Ticks::from_duration(Ticks(7).duration()), Ticks(7));
    }
}
