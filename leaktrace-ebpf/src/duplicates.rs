//! Duplicate programs on one hook, for kernels that may skip a program.

use crate::constants::enabled;

/// Which of the programs on a hook is running. The numbers are those of
/// [`SocketRecord::made_by`](leaktrace_common::SocketRecord::made_by).
///
/// A kernel that preempts programs skips a program while another run of it is preempted on that processor: `prog->active` in
/// kernel/bpf/trampoline.c and kernel/trace/bpf_trace.c. Trampolines do so on any preemptible kernel, tracepoints on 7.2 and not on
/// 6.18. On such kernels each opening hook has duplicate programs. Each has its own guard, and the first that runs does the work.
/// Connects with trampolines use a breakpoint instead where the kernel has kprobes. Accepts with trampolines need no duplicate except
/// on kernels without CONFIG_SECURITY, where some accepts are missed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum HookProgram {
    /// The only program of a hook that is never skipped.
    Only = 0,
    /// The program that is always attached.
    First = 1,
    /// The duplicate, attached where programs may be skipped.
    Second = 2,
    /// A third, for hooks whose first two are often preempted at the same time.
    Third = 3,
}

impl HookProgram {
    /// How many programs a hook has at most.
    pub const MOST: u32 = 3;

    /// The program that is always attached to a hook which has duplicates if `duplicates`, one of
    /// [`setup_flags`](leaktrace_common::setup_flags), is set.
    #[inline(always)]
    pub fn first(duplicates: u32) -> Self {
        if enabled(duplicates) { Self::First } else { Self::Only }
    }

    /// Its index among the programs on its hook.
    #[inline(always)]
    pub fn index(self) -> u32 {
        (self as u32).saturating_sub(Self::First as u32)
    }
}

const _: () = assert!(HookProgram::Third as u32 - HookProgram::First as u32 == HookProgram::MOST - 1);
