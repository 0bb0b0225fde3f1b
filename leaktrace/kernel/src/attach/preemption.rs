//! Whether this kernel preempts BPF programs. A kernel that does skips a program on a processor where another run of that program is
//! preempted.
//!
//! Trampolines run programs with preemption on. Tracepoints do so on 7.2 but not on 6.18; both were seen in `recursion_misses` of the
//! programs. Breakpoints (kprobes) run them with preemption off.

use crate::host::KernelRelease;
use leaktrace_common::setup_flags;
use leaktrace_model::HookKind;
use std::fs;

/// First kernel on which programs on tracepoints may be preempted. On 6.18 no program was ever skipped.
const TRACEPOINTS: (u32, u32) = (6, 19);

/// First kernel that skips a program on a tracepoint if it would interrupt itself (`__bpf_trace_run`, kernel/trace/bpf_trace.c).
const TRACEPOINTS_GUARDED: (u32, u32) = (6, 1);

/// How kernel code is preempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preemption {
    /// Only where it allows that explicitly.
    Voluntary,
    /// Anywhere except in interrupts and softirqs, and while those are off.
    Anywhere,
    /// Also in softirqs (PREEMPT_RT).
    Realtime,
}

impl Preemption {
    /// Of the running kernel.
    pub(crate) fn of_running_kernel() -> Self {
        let build = fs::read_to_string("/proc/sys/kernel/version").unwrap_or_default();
        let mode = fs::read_to_string("/sys/kernel/debug/sched/preempt").ok();
        Self::from(&build, mode.as_deref())
    }

    /// From the kernel's build line (`#1 SMP PREEMPT_DYNAMIC …`) and from the list of modes in debugfs, which has the mode chosen at
    /// boot in brackets (`none voluntary (full) lazy`). If the list cannot be read, a kernel that can preempt is assumed to do so.
    /// Assuming that wrongly costs a lookup for each new socket.
    fn from(build: &str, mode: Option<&str>) -> Self {
        let chosen = mode.and_then(|mode| mode.split_once('(')?.1.split(')').next());
        if build.split_whitespace().any(|word| word == "PREEMPT_RT") {
            return Self::Realtime;
        }
        match chosen {
            Some("none" | "voluntary") => Self::Voluntary,
            Some(_) => Self::Anywhere,
            None if build.split_whitespace().any(|word| word.starts_with("PREEMPT")) => Self::Anywhere,
            None => Self::Voluntary,
        }
    }

    /// Whether hooks of a kind may be skipped.
    pub(crate) fn skips(self, kind: HookKind, release: &KernelRelease) -> bool {
        let preemptible = match kind {
            HookKind::Fentry => true,
            HookKind::Kprobe => false,
            HookKind::Tracepoint => release.version >= TRACEPOINTS,
        };
        preemptible && self != Self::Voluntary
    }

    /// What the kernel side must know about it: bits of [`Setup::flags`](leaktrace_common::Setup::flags).
    pub(crate) fn setup_flags(self, release: &KernelRelease) -> u32 {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        flag(self.skips(HookKind::Fentry, release), setup_flags::DUPLICATES)
            | flag(self.skips(HookKind::Tracepoint, release), setup_flags::TRACEPOINT_DUPLICATES)
            | flag(self.interrupts_ends(release), setup_flags::ENDS_INTERRUPTED)
    }

    /// Whether the program at the end of a socket may be interrupted by itself, for the end of another socket. Some ends happen with
    /// softirqs on. There it can be interrupted if softirqs can be preempted, if the kernel does not skip a program that would interrupt
    /// itself, or if the program itself can be preempted.
    fn interrupts_ends(self, release: &KernelRelease) -> bool {
        let is_guarded = release.version >= TRACEPOINTS_GUARDED;
        self == Self::Realtime || !is_guarded || self.skips(HookKind::Tracepoint, release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(major: u32, minor: u32) -> KernelRelease {
        KernelRelease { text: format!("{major}.{minor}"), version: (major, minor) }
    }

    #[test]
    fn the_choice_at_boot_counts_more_than_the_build() {
        let build = "#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1 (2026-10-01)\n";
        assert_eq!(Preemption::from(build, Some("none (voluntary) full\n")), Preemption::Voluntary);
        assert_eq!(Preemption::from(build, Some("none voluntary (full)\n")), Preemption::Anywhere);
        assert_eq!(Preemption::from(build, Some("full (lazy)\n")), Preemption::Anywhere);
    }

    #[test]
    fn a_build_that_may_preempt_is_taken_for_one_that_does() {
        assert_eq!(Preemption::from("#1 SMP PREEMPT_DYNAMIC @0", None), Preemption::Anywhere);
        assert_eq!(Preemption::from("#1 SMP PREEMPT_RT Debian", None), Preemption::Realtime);
        assert_eq!(Preemption::from("#1 SMP Debian 5.10.262-1", None), Preemption::Voluntary);
        assert_eq!(Preemption::from("", Some("no brackets")), Preemption::Voluntary);
    }

    #[test]
    fn breakpoints_are_never_skipped_and_tracepoints_only_by_newer_kernels() {
        let skips = |kind, release| Preemption::Anywhere.skips(kind, &release);
        assert!(skips(HookKind::Fentry, release(5, 10)));
        assert!(!skips(HookKind::Kprobe, release(7, 2)));
        assert!(!skips(HookKind::Tracepoint, release(6, 18)));
        assert!(skips(HookKind::Tracepoint, release(7, 2)));
        assert!(skips(HookKind::Fentry, release(6, 18)));
        assert!(!Preemption::Voluntary.skips(HookKind::Fentry, &release(7, 2)));
    }

    #[test]
    fn the_kernel_side_is_given_which_hooks_are_skipped() {
        use setup_flags::{DUPLICATES, ENDS_INTERRUPTED, TRACEPOINT_DUPLICATES};
        assert_eq!(Preemption::Voluntary.setup_flags(&release(7, 2)), 0);
        assert_eq!(Preemption::Anywhere.setup_flags(&release(6, 18)), DUPLICATES);
        let newer = DUPLICATES | TRACEPOINT_DUPLICATES | ENDS_INTERRUPTED;
        assert_eq!(Preemption::Anywhere.setup_flags(&release(7, 2)), newer);
        assert_eq!(Preemption::Realtime.setup_flags(&release(6, 18)), DUPLICATES | ENDS_INTERRUPTED);
    }

    #[test]
    fn kernels_that_let_a_tracepoint_interrupt_itself_count_ends_with_care() {
        let flags = |release| Preemption::Voluntary.setup_flags(&release);
        assert_eq!(flags(release(5, 10)), setup_flags::ENDS_INTERRUPTED);
        assert_eq!(flags(release(6, 1)), 0);
    }
}
