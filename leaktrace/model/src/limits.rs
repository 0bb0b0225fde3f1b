//! What verdicts are judged by.

use std::time::Duration;

/// The thresholds that may change while watching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Age from which an open socket is `long-lived`.
    pub threshold: Duration,
    /// How long a stuck state must last.
    pub stall: Duration,
    /// How long without payload counts as idle.
    pub idle: Duration,
}
