//! The end of a socket, however it comes: the backstop for all three kinds of hooks.

use crate::lifecycle::{End, closed_by_caller};
use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};

/// `void tcp_destroy_sock(struct sock *sk)`, a tracepoint (4.16), raised by `tcp_v4_destroy_sock`.
#[btf_tracepoint(function = "tcp_destroy_sock")]
#[inline(always)]
pub fn tp_destroy(ctx: BtfTracePointContext) -> i32 {
    let sk: *const u8 = ctx.arg(0);
    closed_by_caller(sk as u64, End::LastSegment);
    0
}
