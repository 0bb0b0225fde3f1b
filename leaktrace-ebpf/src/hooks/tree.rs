//! Hooks on fork, exec and exit of processes. Attached only if a tree is followed.

use crate::{
    constants::offset,
    fields::{Address, Fields, Typed},
    maps::{CAPTURES, TREE},
    task::current_ids,
    tree,
};
use aya_ebpf::{helpers::generated::bpf_ktime_get_boot_ns, macros::btf_tracepoint, programs::BtfTracePointContext};
use leaktrace_common::{MessageKind, TreeExec};

/// `void sched_process_fork(struct task_struct *parent, struct task_struct *child)`, a tracepoint, raised in the parent before the child
/// runs (`kernel_clone`, 5.10), for threads too.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn tp_fork(ctx: BtfTracePointContext) -> i32 {
    forked(&ctx)
}

/// `void sched_process_fork(…)`: the duplicate of [`tp_fork`], see [`crate::duplicates`]. The second of them changes nothing.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn tp_fork_2(ctx: BtfTracePointContext) -> i32 {
    forked(&ctx)
}

#[inline(always)]
fn forked(ctx: &BtfTracePointContext) -> i32 {
    let (parent, _) = current_ids();
    if !tree::contains(parent) {
        return 0;
    }
    let child: *const u8 = ctx.arg(1);
    let child: u32 = Typed(child).read(offset!(task_tgid));
    if child != parent {
        tree::joined(child, parent);
    }
    0
}

/// `void sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`, a tracepoint, raised when the new program
/// is mapped (`exec_binprm`, 5.10). User space reads its mappings at once, because the process may end soon.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn tp_exec(_: BtfTracePointContext) -> i32 {
    let (tgid, _) = current_ids();
    if tree::contains(tgid)
        && let Some(mut room) = CAPTURES.reserve::<TreeExec>(0)
    {
        room.write(TreeExec { kind: MessageKind::TreeExec.raw(), tgid });
        room.submit(0);
    }
    0
}

/// `void sched_process_exit(struct task_struct *p)`, a tracepoint, raised in each thread that exits, before its descriptors are closed
/// (`do_exit`, 5.10). From 6.16 on with a second argument, and before the memory is released.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn tp_exit(ctx: BtfTracePointContext) -> i32 {
    exited(&ctx)
}

/// `void sched_process_exit(…)`: the duplicate of [`tp_exit`], see [`crate::duplicates`]. The second of them changes nothing.
#[btf_tracepoint(function = "sched_process_exit")]
pub fn tp_exit_2(ctx: BtfTracePointContext) -> i32 {
    exited(&ctx)
}

#[inline(always)]
fn exited(ctx: &BtfTracePointContext) -> i32 {
    let (tgid, _) = current_ids();
    let Some(process) = TREE.get_ptr_mut(tgid) else {
        return 0;
    };
    let task: *const u8 = ctx.arg(0);
    let task = Typed(task);
    let shared: u64 = task.read(offset!(task_signal));
    let live: i32 = Address(shared).read(offset!(signal_live));
    if live != 0 {
        return 0;
    }
    let leader: u64 = task.read(offset!(task_leader));
    let comm = Address(leader).read(offset!(task_comm));
    // SAFETY: the pointer is a live map value.
    unsafe { (*process).comm = comm };
    let exit_code = task.read(offset!(task_exit_code));
    // SAFETY: the pointer is a live map value.
    unsafe { (*process).exit_code = exit_code };
    // SAFETY: the helper takes nothing.
    let now_ns = unsafe { bpf_ktime_get_boot_ns() };
    // SAFETY: the pointer is a live map value.
    unsafe { (*process).exited_ns = now_ns };
    0
}
