//! Hooks by tracepoint, for kernels that offer nothing else.

use super::{is_tcp, tcp_behind};
use crate::{
    constants::{enabled, offset, setup},
    kernel::{Fields, Structure, Task, Typed, rdonly_cast, system_call},
    lifecycle::{End, Twin, closed, closed_by_caller, opened, opened_by},
    tree,
};
use aya_ebpf::{
    EbpfContext as _,
    macros::{btf_tracepoint, tracepoint},
    programs::{BtfTracePointContext, TracePointContext},
};
use leaktrace_common::{Direction, TcpState, setup_flags};

/// `void inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)`, a tracepoint since 4.16.
/// The change to SYN_SENT, and only that one, is made by the thread that connects.
#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
pub fn tp_state(ctx: BtfTracePointContext) -> i32 {
    state_changed(&ctx, Twin::first(setup_flags::TRACEPOINT_TWINS))
}

/// See [`Twin`].
#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
pub fn tp_state_twin(ctx: BtfTracePointContext) -> i32 {
    state_changed(&ctx, Twin::Second)
}

/// See [`Twin`].
#[btf_tracepoint(function = "inet_sock_set_state")]
#[inline(always)]
pub fn tp_state_third(ctx: BtfTracePointContext) -> i32 {
    state_changed(&ctx, Twin::Third)
}

#[inline(always)]
fn state_changed(ctx: &BtfTracePointContext, twin: Twin) -> i32 {
    let new_state: i32 = ctx.arg(2);
    let sk: *const u8 = ctx.arg(0);
    // Most changes are to other states: the way out is short.
    if new_state != SYN_SENT {
        if enabled(setup_flags::TREE) {
            ending(sk, TcpState::from_raw(new_state as u8));
        }
        return 0;
    }
    if is_tcp(Typed(sk)) {
        opened(sk as u64, Direction::Connect, twin);
    }
    0
}

/// [`TcpState::SynSent`], raw.
const SYN_SENT: i32 = 2;
const _: () = assert!(matches!(TcpState::from_raw(SYN_SENT as u8), TcpState::SynSent));

/// `SHUTDOWN_MASK` (include/net/sock.h): both directions.
const SHUTDOWN_MASK: u8 = 3;

/// Number of shutdown on x86-64.
const SHUTDOWN: u64 = 48;

/// No hook of this kind hears closes, and a tree must tell those by an exit from others. Only the caller itself sends a FIN
/// (`tcp_close_state`), be it for close or for shutdown; a close that sends none goes to CLOSED with both directions shut
/// down before (`__tcp_close`), which `tcp_done` does only after.
#[inline(always)]
fn ending(sk: *const u8, new_state: TcpState) {
    match new_state {
        TcpState::FinWait1 | TcpState::LastAck => {
            if !tree::is_exiting() && system_call() == SHUTDOWN {
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

/// Numbers of accept and accept4 on x86-64 (arch/x86/entry/syscalls/syscall_64.tbl).
const ACCEPT: u64 = 43;
const ACCEPT4: u64 = 288;

/// What the kernel hands a program on the end of a system call: `struct syscall_tp_t` in `perf_call_bpf_exit`
/// (kernel/trace/trace_syscalls.c, 4.14).
#[repr(C)]
struct CallEnd {
    _entry: u64,
    _number: u64,
    result: i64,
}

/// `syscalls/sys_exit_accept` and `syscalls/sys_exit_accept4`: raised for no other system call.
#[tracepoint]
#[inline(always)]
pub fn tp_accepted(ctx: TracePointContext) -> u32 {
    let end: *const CallEnd = ctx.as_ptr().cast();
    // SAFETY: the context is that structure, and the verifier checks the load.
    accepted(unsafe { (*end).result }, Twin::Alone);
    // The event itself is for nobody.
    0
}

/// `void sys_exit(struct pt_regs *regs, long ret)`, where single system calls cannot be heard, raised for every system call:
/// what is none of ours leaves after two loads. It needs no tracefs, unlike the tracepoints of single system calls.
#[btf_tracepoint(function = "sys_exit")]
#[inline(always)]
pub fn tp_accept(ctx: BtfTracePointContext) -> i32 {
    call_returned(&ctx, Twin::first(setup_flags::TRACEPOINT_TWINS))
}

/// See [`Twin`].
#[btf_tracepoint(function = "sys_exit")]
#[inline(always)]
pub fn tp_accept_twin(ctx: BtfTracePointContext) -> i32 {
    call_returned(&ctx, Twin::Second)
}

/// See [`Twin`].
#[btf_tracepoint(function = "sys_exit")]
#[inline(always)]
pub fn tp_accept_third(ctx: BtfTracePointContext) -> i32 {
    call_returned(&ctx, Twin::Third)
}

#[inline(always)]
fn call_returned(ctx: &BtfTracePointContext, twin: Twin) -> i32 {
    let regs: *const u8 = ctx.arg(0);
    let number: u64 = Typed(regs).read(offset!(regs_nr));
    if number != ACCEPT && number != ACCEPT4 {
        return 0;
    }
    accepted(ctx.arg(1), twin);
    0
}

/// accept(2) or accept4(2) has returned `descriptor` to the caller, or an error.
#[inline(always)]
fn accepted(descriptor: i64, twin: Twin) {
    if descriptor < 0 {
        return;
    }
    let task = Task::current();
    if let Some(sk) = socket_of(task, descriptor).and_then(tcp_behind) {
        // Of one type on both ways out of there, or the verifier follows each to the end.
        let sk = if enabled(setup_flags::RDONLY_CAST) { rdonly_cast(sk, setup!(tcp_sock_type)).0 as u64 } else { sk };
        opened_by(task, sk, Direction::Accept, twin);
    }
}

/// The `struct sock` behind a descriptor of the caller, which `task` is, that is known to be a socket.
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
