//! Durations as they are written.

use std::time::Duration;

/// A duration in nanoseconds. The longest is 584 years.
pub(crate) fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
