//! Hooks by trampoline (5.5 on x86-64): the cheapest kind.

use crate::{
    duplicates::HookProgram,
    lifecycle::{End, closed_by_caller, opened},
    protocol::tcp_behind,
};
use aya_ebpf::{
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use leaktrace_common::{Direction, setup_flags};

/// `int tcp_connect(struct sock *sk)`, in the context of the caller.
#[fentry(function = "tcp_connect")]
#[inline(always)]
pub fn fe_connect(ctx: FEntryContext) -> i32 {
    connected(&ctx, HookProgram::first(setup_flags::DUPLICATES))
}

/// `int tcp_connect(struct sock *sk)`: the duplicate of [`fe_connect`].
#[fentry(function = "tcp_connect")]
#[inline(always)]
pub fn fe_connect_2(ctx: FEntryContext) -> i32 {
    connected(&ctx, HookProgram::Second)
}

#[inline(always)]
fn connected(ctx: &FEntryContext, program: HookProgram) -> i32 {
    let sk: *const u8 = ctx.arg(0);
    opened(sk as u64, Direction::Connect, program);
    0
}

/// `void tcp_close(struct sock *sk, long timeout)`, in the context of the caller.
#[fentry(function = "tcp_close")]
#[inline(always)]
pub fn fe_close(ctx: FEntryContext) -> i32 {
    let sk: *const u8 = ctx.arg(0);
    closed_by_caller(sk as u64, End::Call);
    0
}

/// `void security_sock_graft(struct sock *sk, struct socket *parent)`, called by `inet_accept` for the new socket, in the accepting task.
///
/// The caller holds `sk_callback_lock` (`sock_graft`, include/net/sock.h), so this program is not preempted and needs no duplicate.
#[fentry(function = "security_sock_graft")]
#[inline(always)]
pub fn fe_graft(ctx: FEntryContext) -> i32 {
    let sk: *const u8 = ctx.arg(0);
    if let Some(sk) = tcp_behind(sk as u64) {
        opened(sk, Direction::Accept, HookProgram::Only);
    }
    0
}

/// `struct sock *inet_csk_accept(struct sock *sk, int flags, int *err, bool kern)`, until 6.9. For kernels without
/// `security_sock_graft` (no CONFIG_SECURITY).
#[fexit(function = "inet_csk_accept")]
#[inline(always)]
pub fn fx_accept_4(ctx: FExitContext) -> i32 {
    let sk: *const u8 = ctx.arg(4);
    accepted(sk as u64)
}

/// `struct sock *inet_csk_accept(struct sock *sk, struct proto_accept_arg *arg)`, from 6.10 on. For kernels without
/// `security_sock_graft` (no CONFIG_SECURITY).
#[fexit(function = "inet_csk_accept")]
#[inline(always)]
pub fn fx_accept_2(ctx: FExitContext) -> i32 {
    let sk: *const u8 = ctx.arg(2);
    accepted(sk as u64)
}

#[inline(always)]
fn accepted(sk: u64) -> i32 {
    if sk != 0 {
        opened(sk, Direction::Accept, HookProgram::Only);
    }
    0
}
