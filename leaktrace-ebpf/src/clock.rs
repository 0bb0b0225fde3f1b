//! The current time: exact, or computed from what the socket and the kernel's timer know.
//!
//! Reading the processor's counter is expensive, and a connection would need it four times. The kernel reads it whenever a segment is
//! received or sent, which is what opens and closes most sockets, and keeps the value in the socket.

use crate::{
    constants::{enabled, has_field, offset, setup},
    fields::{Fields, rdonly_cast},
    maps::CLOCK,
};
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_boot_ns, bpf_ktime_get_ns};
use core::hint::cold_path;
use leaktrace_common::{Clock, setup_flags};

/// `CLOCK_BOOTTIME` in nanoseconds.
#[inline(always)]
pub fn now_ns() -> u64 {
    // SAFETY: the helper takes nothing.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// The current time, up to two ticks early (2 to 20 ms, depending on CONFIG_HZ): the time of the socket's last segment, or one to two
/// ticks of the timer before now, whichever is later. Before 6.2 the exact time. `CLOCK_BOOTTIME` in nanoseconds.
///
/// For up to a second after the machine was suspended, the result is early by the time of suspension. Neither the timer nor the socket
/// counts that time, and [`read_clocks`] runs once a second, because it costs as much as reading the exact time.
///
/// `tcp_clock_cache` is what `tcp_mstamp_refresh` (net/ipv4/tcp_output.c, 4.20) read from `CLOCK_MONOTONIC`.
#[inline(always)]
pub fn nearly_now_ns(sk: u64) -> u64 {
    let each_ns = u64::from(setup!(tick_ns));
    // A probe read would cost as much as the clock.
    let is_expensive = !enabled(setup_flags::RDONLY_CAST);
    if is_expensive || each_ns == 0 || !has_field!(tcp_clock_cache) {
        return now_ns();
    }
    let Some(clock) = CLOCK.get_ptr_mut(0) else {
        return now_ns();
    };
    // A load, not a call (5.6).
    // SAFETY: the helper takes nothing.
    let tick = unsafe { bpf_jiffies64() };
    // SAFETY: the pointer is a live map value; other processors may write it.
    if tick > unsafe { (&raw const (*clock).valid_until).read_volatile() } {
        cold_path();
        return read_clocks(clock, tick, each_ns);
    }
    // SAFETY: the pointer is a live map value; other processors may write it.
    let tick_zero_ns = unsafe { (&raw const (*clock).tick_zero_ns).read_volatile() };
    // SAFETY: the pointer is a live map value; other processors may write it.
    let boot_ahead_ns = unsafe { (&raw const (*clock).boot_ahead_ns).read_volatile() };
    let tick_ns = tick_zero_ns.wrapping_add(tick.wrapping_mul(each_ns));
    let segment_ns: u64 = rdonly_cast(sk, setup!(tcp_sock_type)).read(offset!(tcp_clock_cache));
    let segment_ns = segment_ns.wrapping_add(boot_ahead_ns);
    if segment_ns > tick_ns { segment_ns } else { tick_ns }
}

/// Reads both clocks, about once a second, and returns the exact time. If several processors do so at the same time, they write nearly
/// the same values.
#[inline(always)]
fn read_clocks(clock: *mut Clock, tick: u64, each_ns: u64) -> u64 {
    const SECOND_NS: u64 = 1_000_000_000;
    let now_ns = now_ns();
    // SAFETY: the helper takes nothing.
    let monotonic_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: the pointer is a live map value.
    unsafe { (&raw mut (*clock).tick_zero_ns).write_volatile(now_ns.wrapping_sub((tick + 1).wrapping_mul(each_ns))) };
    // SAFETY: the pointer is a live map value.
    unsafe { (&raw mut (*clock).boot_ahead_ns).write_volatile(now_ns.saturating_sub(monotonic_ns)) };
    // SAFETY: the pointer is a live map value.
    unsafe { (&raw mut (*clock).valid_until).write_volatile(tick + SECOND_NS.checked_div(each_ns).unwrap_or(0)) };
    now_ns
}
