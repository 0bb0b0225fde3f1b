//! What time it is: exactly, or as the socket itself and the kernel's timer know it.
//!
//! Reading the processor's counter is dear, and a connection would have it read four times. The kernel has just read it when a
//! segment came or went, which is what opens and closes most sockets, and keeps in the socket what it read.

use crate::{
    constants::{enabled, offset, setup},
    kernel::{Fields, rdonly_cast},
    maps::CLOCK,
};
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_boot_ns, bpf_ktime_get_ns};
use core::hint::cold_path;
use leaktrace_common::{Clock, Offsets, setup_flags};

/// `CLOCK_BOOTTIME` in nanoseconds.
#[inline(always)]
pub fn now_ns() -> u64 {
    // SAFETY: the helper takes nothing.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// When the last segment of `sk` came or went, or the time now less one to two ticks of the timer, whichever is later: at most two
/// ticks before now (2 to 20 ms, by CONFIG_HZ), and not after it unless the timer was late when the clock was read; before 6.2 the
/// time itself. `CLOCK_BOOTTIME` in nanoseconds.
///
/// But for up to a second after the machine has slept it is as long too early as that was: neither the timer nor what the socket
/// keeps counts sleep, and how long there was of it is read once a second ([`look`]). Asking for it costs as much as the time.
///
/// `tcp_clock_cache` is what `tcp_mstamp_refresh` (net/ipv4/tcp_output.c, 4.20) has read of `CLOCK_MONOTONIC`.
#[inline(always)]
pub fn nearly_now_ns(sk: u64) -> u64 {
    let each_ns = u64::from(setup!(tick_ns));
    // A probe read would cost as much as the clock.
    let is_dear = !enabled(setup_flags::RDONLY_CAST);
    if is_dear || each_ns == 0 || offset!(tcp_clock_cache) == Offsets::ABSENT as usize {
        return now_ns();
    }
    let Some(clock) = CLOCK.get_ptr_mut(0) else {
        return now_ns();
    };
    // A load, not a call (5.6).
    // SAFETY: the helper takes nothing.
    let tick = unsafe { bpf_jiffies64() };
    // SAFETY: the pointer is a live map value, here and below; other processors may write it.
    if tick > unsafe { (&raw const (*clock).believed_until).read_volatile() } {
        cold_path();
        return look(clock, tick, each_ns);
    }
    // SAFETY: as above.
    let tick_zero_ns = unsafe { (&raw const (*clock).tick_zero_ns).read_volatile() };
    // SAFETY: as above.
    let boot_ahead_ns = unsafe { (&raw const (*clock).boot_ahead_ns).read_volatile() };
    let tick_ns = tick_zero_ns.wrapping_add(tick.wrapping_mul(each_ns));
    let segment_ns: u64 = rdonly_cast(sk, setup!(tcp_sock_type)).read(offset!(tcp_clock_cache));
    let segment_ns = segment_ns.wrapping_add(boot_ahead_ns);
    if segment_ns > tick_ns { segment_ns } else { tick_ns }
}

/// Reads the clocks, about once a second: the machine may have slept.
#[inline(always)]
fn look(clock: *mut Clock, tick: u64, each_ns: u64) -> u64 {
    const SECOND_NS: u64 = 1_000_000_000;
    let now_ns = now_ns();
    // SAFETY: the helper takes nothing.
    let awake_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: the pointer is a live map value, here and below. Processors that do so at a time write nearly the same.
    unsafe { (&raw mut (*clock).tick_zero_ns).write_volatile(now_ns.wrapping_sub((tick + 1).wrapping_mul(each_ns))) };
    // SAFETY: as above.
    unsafe { (&raw mut (*clock).boot_ahead_ns).write_volatile(now_ns.saturating_sub(awake_ns)) };
    // SAFETY: as above.
    unsafe { (&raw mut (*clock).believed_until).write_volatile(tick + SECOND_NS.checked_div(each_ns).unwrap_or(0)) };
    now_ns
}
