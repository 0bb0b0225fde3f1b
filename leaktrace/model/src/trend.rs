//! How a number of open sockets changes.

/// How a number of open sockets changes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Trend {
    /// Whether it rises more than churn explains.
    pub growing: bool,
    /// By how many sockets per minute.
    pub per_min: f64,
}
