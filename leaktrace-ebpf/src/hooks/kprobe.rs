//! Hooks by breakpoint, for kernels without trampolines. The kernel does not preempt these programs, so they need no duplicates.

use crate::{
    duplicates::HookProgram,
    lifecycle::{End, closed_by_caller, opened},
    protocol::tcp_behind,
};
use aya_ebpf::{
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use leaktrace_common::Direction;

/// `int tcp_connect(struct sock *sk)`, in the context of the caller.
#[kprobe(function = "tcp_connect")]
#[inline(always)]
pub fn kp_connect(ctx: ProbeContext) -> u32 {
    opened(ctx.arg(0).unwrap_or(0), Direction::Connect, HookProgram::Only);
    0
}

/// `void tcp_close(struct sock *sk, long timeout)`, in the context of the caller.
#[kprobe(function = "tcp_close")]
#[inline(always)]
pub fn kp_close(ctx: ProbeContext) -> u32 {
    closed_by_caller(ctx.arg(0).unwrap_or(0), End::Call);
    0
}

/// `void security_sock_graft(struct sock *sk, struct socket *parent)`, called by `inet_accept` for the new socket, in the accepting task.
///
/// An entry hook needs no return probe. The kernel has a limited number of those, and they run out when many threads block in accept.
#[kprobe(function = "security_sock_graft")]
#[inline(always)]
pub fn kp_graft(ctx: ProbeContext) -> u32 {
    if let Some(sk) = tcp_behind(ctx.arg(0).unwrap_or(0)) {
        opened(sk, Direction::Accept, HookProgram::Only);
    }
    0
}

/// `struct sock *inet_csk_accept(…)`, its return value. For kernels without `security_sock_graft` (no CONFIG_SECURITY).
#[kretprobe(function = "inet_csk_accept")]
#[inline(always)]
pub fn kr_accept(ctx: RetProbeContext) -> u32 {
    let sk: u64 = ctx.ret();
    if sk != 0 {
        opened(sk, Direction::Accept, HookProgram::Only);
    }
    0
}
