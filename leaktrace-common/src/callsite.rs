//! Call sites: the code that opens sockets, and counters of what happened to them, kept in the kernel.

use crate::Verdict;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How many call sites are kept at once. Index 0 is [`UNKNOWN_CALLSITE`].
pub const MAX_CALLSITES: u32 = 16384;

/// Index of the call site that stands for "unknown".
pub const UNKNOWN_CALLSITE: u32 = 0;

/// How many call sites can have counters on each processor. Index 0 stands for "none".
pub const MAX_CPU_COUNTERS: u32 = 64;

/// How many processes have their rate of opens measured at once.
pub const MAX_RATED: u32 = 16384;

/// How many lifetime classes are counted.
pub const LIFETIME_BUCKETS: usize = 44;

/// Lifetimes below 2^10 ns (1 µs) share the first class.
const FIRST_BUCKET_LOG2: u32 = 10;

/// The class of a lifetime. Class `i` holds lifetimes from `2^(9+i)` ns to below `2^(10+i)` ns.
/// The last class (from 2^52 ns, 52 days) has no upper end.
#[inline(always)]
pub const fn lifetime_bucket(lifetime_ns: u64) -> usize {
    let bits = u64::BITS - lifetime_ns.leading_zeros();
    let class = bits.saturating_sub(FIRST_BUCKET_LOG2) as usize;
    if class < LIFETIME_BUCKETS { class } else { LIFETIME_BUCKETS - 1 }
}

/// The [`CallsiteKey::stack_hash`] of opens whose stack was skipped because of `--stack-sample`. Even, so no stack has this hash.
pub const NOT_SAMPLED: u64 = 2;

/// Identifies a call site on the kernel side: two opens with equal keys belong to the same call site.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct CallsiteKey {
    /// Keyed hash of the stack's content, always odd; 0 without a stack, or [`NOT_SAMPLED`].
    pub stack_hash: u64,
    /// Process.
    pub tgid: u32,
    /// [`crate::Direction`], raw.
    pub direction: u32,
}

const _: () = assert!(size_of::<CallsiteKey>() == 16);

/// Sums over the open sockets of a call site, made by one sampling pass.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct PassSums {
    /// Number of the pass that made these sums. Sums of an older pass count as zero.
    pub pass: u32,
    /// Open sockets.
    pub open: u32,
    /// Open sockets with at least one verdict.
    pub flagged: u32,
    /// 1 if the oldest socket's age is a lower bound.
    pub oldest_adopted: u32,
    /// Opening time of the oldest, `CLOCK_BOOTTIME`.
    pub oldest_ns: u64,
    /// Payload that waits to be read.
    pub rx_queue_bytes: u64,
    /// Kernel memory charged to the sockets.
    pub memory_bytes: u64,
    /// Sockets by verdict, indexed by [`Verdict`].
    pub verdicts: [u32; Verdict::COUNT],
}

const _: () = assert!(size_of::<PassSums>() == 80);

/// What happened to the sockets of a call site since the tracer started.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct SocketCounts {
    /// Sockets opened, adopted ones included.
    pub opened: u64,
    /// Closed sockets that were adopted, so that their lifetime is unknown. All other closed sockets are in `lifetimes`, see
    /// [`Self::closed`].
    pub closed_adopted: u64,
    /// Longest lifetime of a closed socket.
    pub longest_ns: u64,
    /// Closed sockets whose opening was seen, by [`lifetime_bucket`].
    pub lifetimes: [u64; LIFETIME_BUCKETS],
}

const _: () = assert!(size_of::<SocketCounts>() == 376);

impl SocketCounts {
    /// How many of [`Self::opened`] are closed.
    pub fn closed(&self) -> u64 {
        self.lifetimes.iter().fold(self.closed_adopted, |sum, count| sum.wrapping_add(*count))
    }

    /// The same counters with [`Self::closed`] set to `closed`.
    #[must_use]
    pub fn with_closed(self, closed: u64) -> Self {
        let with_lifetime = self.closed().wrapping_sub(self.closed_adopted);
        Self { closed_adopted: closed.wrapping_sub(with_lifetime), ..self }
    }

    /// Adds what another processor counted for the same call site. A socket may be opened on one processor and closed on another,
    /// so only the sum over all processors is consistent.
    pub fn add(&mut self, other: &Self) {
        self.opened = self.opened.wrapping_add(other.opened);
        self.closed_adopted = self.closed_adopted.wrapping_add(other.closed_adopted);
        self.longest_ns = self.longest_ns.max(other.longest_ns);
        for (sum, count) in self.lifetimes.iter_mut().zip(other.lifetimes) {
            *sum = sum.wrapping_add(count);
        }
    }
}

/// One call site: its identity and its counters. User space maps the array of these and reads it in place.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct CallsiteCounters {
    /// Its key. A `tgid` of 0 marks an unused entry.
    pub key: CallsiteKey,
    /// When it was first seen, `CLOCK_BOOTTIME`.
    pub first_ns: u64,
    /// Index of its counters on each processor; 0 where all processors count in [`Self::counts`]. User space writes this and sums the
    /// processors up. With shared counters, the cache line of a busy call site would move between processors at every connection.
    pub cpu_counters: u64,
    /// 1 if the copy of the user stack was lost and the next open here should make another.
    pub copy_wanted: u64,
    /// Thread name at the first open.
    pub comm: [u8; 16],
    /// What was counted, except what is in the counters of each processor ([`Self::cpu_counters`]).
    pub counts: SocketCounts,
    /// Sums of the last pass that saw a socket of this call site.
    pub sums: PassSums,
}

const _: () = assert!(size_of::<CallsiteCounters>() == 512);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_are_those_with_a_lifetime_and_those_without() {
        let mut counts = SocketCounts { opened: 9, closed_adopted: 2, longest_ns: 0, lifetimes: [0; LIFETIME_BUCKETS] };
        assert_eq!(counts.closed(), 2);
        (counts.lifetimes[0], counts.lifetimes[LIFETIME_BUCKETS - 1]) = (3, 1);
        assert_eq!(counts.closed(), 6);
        assert_eq!(counts.with_closed(8).closed(), 8);
        assert_eq!(counts.with_closed(8).lifetimes, counts.lifetimes);
    }

    #[test]
    fn every_lifetime_has_a_class() {
        assert_eq!(lifetime_bucket(0), 0);
        assert_eq!(lifetime_bucket((1 << 10) - 1), 0);
        assert_eq!(lifetime_bucket(1 << 10), 1);
        assert_eq!(lifetime_bucket(1 << 30), 21);
        assert_eq!(lifetime_bucket((1 << 52) - 1), LIFETIME_BUCKETS - 2);
        assert_eq!(lifetime_bucket(1 << 52), LIFETIME_BUCKETS - 1);
        assert_eq!(lifetime_bucket(u64::MAX), LIFETIME_BUCKETS - 1);
    }
}
