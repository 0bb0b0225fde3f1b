//! Atomic operations on map values. Written in assembly because this target has no compare-and-swap, so Rust offers it no atomic
//! arithmetic.

use core::arch::asm;
use leaktrace_common::relocation;

/// Adds to a counter that other processors also add to. The form without a result works on every kernel.
#[inline(always)]
pub fn add(counter: *mut u64, amount: u64) {
    // SAFETY: callers pass a pointer into a map value, aligned by its type; the verifier checks it.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) counter, in(reg) amount, options(nostack)) };
}

/// Writes `new` if the value at `place` is `expected`, in one atomic step. Returns the value found.
///
/// The instruction is `r0 = cmpxchg_64(r1 + 0, r0, r2)` (5.12), given in bytes because the compiler accepts it only for newer
/// processor versions than the one it compiles for. On kernels without it, user space replaces it by a load, and
/// [`setup_flags::EXCHANGE`] is not set.
///
/// [`setup_flags::EXCHANGE`]: leaktrace_common::setup_flags::EXCHANGE
#[inline(always)]
pub fn exchange(place: *mut u64, expected: u64, new: u64) -> u64 {
    const BYTES: [u8; 8] = relocation::EXCHANGE;
    let found: u64;
    // SAFETY: callers pass a pointer into a map value, aligned by its type; the verifier checks it.
    unsafe {
        asm!(
            ".quad {}",
            const i64::from_le_bytes(BYTES),
            in("r1") place,
            in("r2") new,
            inlateout("r0") expected => found,
            options(nostack),
        );
    }
    found
}
