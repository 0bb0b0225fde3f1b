//! Sums over sockets. Open sockets are added up here and nowhere else.

use crate::{Observed, VerdictCounts, seconds};

/// The age of the oldest socket of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oldest {
    /// Its age in nanoseconds.
    pub age_ns: u64,
    /// Whether its opening was seen; otherwise the age is a lower bound.
    pub exact: bool,
}

/// Sums over open sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Sockets open.
    pub open: u64,
    /// Those with at least one verdict.
    pub flagged: u64,
    /// Payload in receive queues, in bytes.
    pub rx_queue_bytes: u64,
    /// Kernel memory charged, in bytes.
    pub memory_bytes: u64,
    /// The oldest; `None` when none is open or it is not known.
    pub oldest: Option<Oldest>,
    /// Sockets by verdict.
    pub verdicts: VerdictCounts,
}

impl Sums {
    /// Adds one socket.
    pub fn add(&mut self, socket: &Observed) {
        self.open += 1;
        self.flagged += u64::from(!socket.verdicts.is_empty());
        self.rx_queue_bytes += u64::from(socket.rx_queue_bytes);
        self.memory_bytes += u64::from(socket.memory_bytes);
        self.see(Oldest { age_ns: socket.age_ns, exact: socket.age_exact });
        self.verdicts.add(socket.verdicts);
    }

    /// Adds other sums to these.
    pub fn merge(&mut self, other: &Self) {
        self.open += other.open;
        self.flagged += other.flagged;
        self.rx_queue_bytes += other.rx_queue_bytes;
        self.memory_bytes += other.memory_bytes;
        if let Some(oldest) = other.oldest {
            self.see(oldest);
        }
        self.verdicts.merge(&other.verdicts);
    }

    /// Takes an age into account. Of two equal ages the first counts.
    pub fn see(&mut self, age: Oldest) {
        if self.oldest.is_none_or(|oldest| oldest.age_ns < age.age_ns) {
            self.oldest = Some(age);
        }
    }

    /// Age of the oldest, in seconds.
    pub fn oldest_s(&self) -> Option<f64> {
        self.oldest.map(|oldest| seconds(oldest.age_ns))
    }

    /// Whether the age of the oldest is exact; false when there is none.
    pub fn oldest_exact(&self) -> bool {
        self.oldest.is_some_and(|oldest| oldest.exact)
    }
}
