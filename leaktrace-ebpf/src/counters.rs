//! Counting opens and closes at a call site.

use crate::{
    atomic::add,
    maps::{CALLSITES, CAPTURES, CPU_COUNTERS},
};
use core::hint::cold_path;
use leaktrace_common::{BusyCallsite, MessageKind, SocketCounts, lifetime_bucket};

/// Whether another program on this processor may change the same counter during an addition.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// No program can.
    Alone,
    /// A program can, in an interrupt or because this one is preempted.
    Interrupted,
}

/// The counters of a call site that this processor uses.
pub struct Counters {
    counts: *mut SocketCounts,
    /// Whether nothing else changes them at the same time.
    is_alone: bool,
    /// Whether all processors use them.
    is_shared: bool,
}

impl Counters {
    /// The counters of a call site.
    #[inline(always)]
    pub fn of(callsite: u32, counting: Counting) -> Option<Self> {
        let site = CALLSITES.get_ptr_mut(callsite)?;
        // SAFETY: the pointer is a live map value; user space may write the field at any time.
        match unsafe { (&raw const (*site).cpu_counters).read_volatile() } {
            // SAFETY: the pointer is a live map value.
            0 => Some(Self { counts: unsafe { &raw mut (*site).counts }, is_alone: false, is_shared: true }),
            own => {
                let counts = CPU_COUNTERS.get_ptr_mut(own as u32)?;
                Some(Self { counts, is_alone: counting == Counting::Alone, is_shared: false })
            }
        }
    }

    /// Counts an opened socket.
    #[inline(always)]
    pub fn add_opened(&self) {
        // SAFETY: the pointer is a live map value.
        self.add(unsafe { &raw mut (*self.counts).opened }, 1);
    }

    /// Reports a call site to user space that may need counters on each processor. With shared counters, their cache line moves
    /// between processors at every connection, and the next sample may be far away.
    ///
    /// Reported is a call site that has opened 1,024 sockets, and again each time that number doubles.
    #[inline(always)]
    pub fn report_if_busy(&self, callsite: u32) {
        const FIRST: u64 = 1024;
        if !self.is_shared {
            return;
        }
        // If another processor counts at the same time and the power of two is missed, the next one is reported.
        // SAFETY: the pointer is a live map value.
        let opened = unsafe { (&raw const (*self.counts).opened).read_volatile() };
        if opened >= FIRST && opened & (opened - 1) == 0 {
            cold_path();
            let busy = BusyCallsite { kind: MessageKind::BusyCallsite.raw(), callsite };
            // If the buffer is full, the next sample finds the call site.
            let _ = CAPTURES.output::<BusyCallsite>(busy, 0);
        }
    }

    /// Takes back one opened socket.
    #[inline(always)]
    pub fn take_opened(&self) {
        // SAFETY: the pointer is a live map value.
        self.add(unsafe { &raw mut (*self.counts).opened }, 1_u64.wrapping_neg());
    }

    /// Counts the end of an adopted socket.
    #[inline(always)]
    pub fn add_closed_adopted(&self) {
        // SAFETY: the pointer is a live map value.
        self.add(unsafe { &raw mut (*self.counts).closed_adopted }, 1);
    }

    /// Counts the end of a socket by its lifetime.
    #[inline(always)]
    pub fn add_lifetime(&self, lifetime_ns: u64) {
        let bucket = lifetime_bucket(lifetime_ns);
        // SAFETY: the pointer is a live map value, and `lifetime_bucket` stays below the length.
        self.add(unsafe { (&raw mut (*self.counts).lifetimes).cast::<u64>().add(bucket) }, 1);
        // If two processors write at the same time, one value is lost. The next longer lifetime corrects that.
        // SAFETY: the pointer is a live map value.
        unsafe {
            if (*self.counts).longest_ns < lifetime_ns {
                (*self.counts).longest_ns = lifetime_ns;
            }
        }
    }

    #[inline(always)]
    fn add(&self, counter: *mut u64, amount: u64) {
        if self.is_alone {
            // A locked addition would wait for all pending writes of the processor.
            // SAFETY: the pointer is a live map value.
            unsafe { counter.write_volatile(counter.read_volatile().wrapping_add(amount)) };
        } else {
            add(counter, amount);
        }
    }
}

/// Counts an opened socket that a pass found.
#[inline(always)]
pub fn count_opened(callsite: u32) {
    if let Some(counters) = Counters::of(callsite, Counting::Interrupted) {
        counters.add_opened();
    }
}
