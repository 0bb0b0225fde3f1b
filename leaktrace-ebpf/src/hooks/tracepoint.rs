//! Hooks by tracepoint, for kernels that offer neither trampolines nor breakpoints.

use crate::{
    abi::{SHUTDOWN_MASK, system_call},
    constants::{enabled, offset, setup},
    duplicates::HookProgram,
    fields::{Fields, Structure, Typed, rdonly_cast},
    lifecycle::{End, closed, closed_by_caller, opened, opened_by},
    protocol::{is_tcp, tcp_behind},
    task::{self, Task},
    tree,
};
use aya_ebpf::{
    EbpfContext as _,
    macros::{btf_tracepoint, tracepoint},
    programs::{BtfTracePointContext, TracePointContext},
};
use leaktrace_common::{Direction, TcpState, setup_flags};

/// `void inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)`, a tracepoint (4.16). Only the change to
/// SYN_SENT is always made by the thread that connects.
#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
pub fn tp_state(ctx: BtfTracePointContext) -> i32 {
    state_changed(&ctx, HookProgram::first(setup_flags::TRACEPOINT_DUPLICATES))
}

/// `void inet_sock_set_state(…)`: the duplicate of [`tp_state`].
#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
pub fn tp_state_2(ctx: BtfTracePointContext) -> i32 {
    state_changed(&ctx, HookProgram::Second)
}

/// `void inet_sock_set_state(…)`: the second duplicate of [`tp_state`].
#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
pub fn tp_state_3(ctx: BtfTracePointContext) -> i32 {
    state_changed(&ctx, HookProgram::Third)
}

#[inline(always)]
fn state_changed(ctx: &BtfTracePointContext, program: HookProgram) -> i32 {
    let new_state: i32 = ctx.arg(2);
    let sk: *const u8 = ctx.arg(0);
    // Most changes are to other states, so this exit path is short.
    if new_state != TcpState::SynSent.raw() as i32 {
        if enabled(setup_flags::TREE) {
            ending(sk, TcpState::from_raw(new_state as u8));
        }
        return 0;
    }
    if is_tcp(Typed(sk)) {
        opened(sk as u64, Direction::Connect, program);
    }
    0
}

/// Decides whether a change of state is a close. No tracepoint reports closes, but a tree needs to know which closes an exit made.
///
/// Only the caller itself sends a FIN (`tcp_close_state`), in close or in shutdown. A close that sends no FIN goes to CLOSED after both
/// directions are shut down (`__tcp_close`); `tcp_done` shuts them down after that change.
#[inline(always)]
fn ending(sk: *const u8, new_state: TcpState) {
    match new_state {
        TcpState::FinWait1 | TcpState::LastAck => {
            if !tree::is_exiting() && task::system_call() == system_call::SHUTDOWN {
                tree::half_closed(sk as u64);
            } else {
                closed_by_caller(sk as u64, End::Call);
            }
        }
        TcpState::Closed => {
            let shut_down: u8 = Typed(sk).read(offset!(sk_shutdown));
            if shut_down == SHUTDOWN_MASK && tree::closing(sk as u64) {
                closed(sk as u64, End::Call);
            }
        }
        _ => {}
    }
}

/// Context of a program at the end of a system call: `struct syscall_tp_t` in `perf_call_bpf_exit` (kernel/trace/trace_syscalls.c, 4.14).
#[repr(C)]
struct CallEnd {
    _entry: u64,
    _number: u64,
    result: i64,
}

/// `syscalls/sys_exit_accept` and `syscalls/sys_exit_accept4`, tracepoints (4.14): raised for no other system call.
#[tracepoint]
#[inline(always)]
pub fn tp_accepted(ctx: TracePointContext) -> u32 {
    let end: *const CallEnd = ctx.as_ptr().cast();
    // SAFETY: the context is that structure, and the verifier checks the load.
    accepted(unsafe { (*end).result }, HookProgram::Only);
    // 0: the kernel does not pass the event on.
    0
}

/// `void sys_exit(struct pt_regs *regs, long ret)`, a tracepoint, raised at the end of every system call.
///
/// For kernels on which [`tp_accepted`] cannot be used. Other calls leave after two loads. It needs no tracefs, unlike the tracepoints of
/// single system calls.
#[btf_tracepoint(function = "sys_exit")]
#[inline(always)]
pub fn tp_accept(ctx: BtfTracePointContext) -> i32 {
    call_returned(&ctx, HookProgram::first(setup_flags::TRACEPOINT_DUPLICATES))
}

/// `void sys_exit(…)`: the duplicate of [`tp_accept`].
#[btf_tracepoint(function = "sys_exit")]
#[inline(always)]
pub fn tp_accept_2(ctx: BtfTracePointContext) -> i32 {
    call_returned(&ctx, HookProgram::Second)
}

/// `void sys_exit(…)`: the second duplicate of [`tp_accept`].
#[btf_tracepoint(function = "sys_exit")]
#[inline(always)]
pub fn tp_accept_3(ctx: BtfTracePointContext) -> i32 {
    call_returned(&ctx, HookProgram::Third)
}

#[inline(always)]
fn call_returned(ctx: &BtfTracePointContext, program: HookProgram) -> i32 {
    let regs: *const u8 = ctx.arg(0);
    let number: u64 = Typed(regs).read(offset!(regs_nr));
    if number != system_call::ACCEPT && number != system_call::ACCEPT4 {
        return 0;
    }
    accepted(ctx.arg(1), program);
    0
}

/// accept(2) or accept4(2) has returned `descriptor` to the caller, or an error.
#[inline(always)]
fn accepted(descriptor: i64, program: HookProgram) {
    if descriptor < 0 {
        return;
    }
    let task = Task::current();
    if let Some(sk) = socket_of(task, descriptor).and_then(tcp_behind) {
        // One type on both paths, or the verifier follows each path to the end.
        let sk = if enabled(setup_flags::RDONLY_CAST) { rdonly_cast(sk, setup!(tcp_sock_type)).0 as u64 } else { sk };
        opened_by(task, sk, Direction::Accept, program);
    }
}

/// The `struct sock` behind a descriptor of the caller, `task`. The descriptor is known to be a socket.
#[inline(always)]
fn socket_of(task: Task, descriptor: i64) -> Option<u64> {
    let table = task.fields().follow(offset!(task_files))?.follow(offset!(files_fdt))?;
    if descriptor >= i64::from(table.read::<u32>(offset!(fdt_max_fds))) {
        return None;
    }
    let files: u64 = table.read(offset!(fdt_fd));
    let entry = Structure::at(files + descriptor as u64 * 8, setup!(pointer_type));
    let file = Structure::at(entry.read(0), setup!(file_type));
    let socket = Structure::at(file.read(offset!(file_private)), setup!(socket_type));
    let sk: u64 = socket.read(offset!(socket_sk));
    (sk != 0).then_some(sk)
}
