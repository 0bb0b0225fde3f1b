//! The two facts that every hook reports: a socket was opened, a socket was closed.

use crate::{
    callsites::{self, Company, Counters},
    clock,
    constants::enabled,
    kernel::Task,
    maps::count_lost,
    memory::cleared,
    records::{self, Entry, Life},
    tree,
};
use core::hint::cold_path;
use leaktrace_common::{Direction, SocketRecord, record_flags, setup_flags};

/// Which of the programs on one hook is running.
///
/// A kernel that preempts programs (trampolines on any preemptible kernel; tracepoints, not on 6.18 but on 7.2) skips a
/// program for whoever comes by while it is preempted on that processor: `prog->active` in kernel/bpf/trampoline.c and
/// kernel/trace/bpf_trace.c. There, others with a guard of their own stand beside each opening hook, and whichever runs
/// first does the work; connects of trampolines have a breakpoint in place of it where there are kprobes, and their accepts
/// need none but on kernels without CONFIG_SECURITY, where some are missed. The numbers are those of [`SocketRecord::made_by`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Twin {
    /// The only one, where none is skipped.
    Alone = 0,
    /// The one that is always there.
    First = 1,
    /// The one that is there where programs may be skipped.
    Second = 2,
    /// One more, of hooks whose first two are often preempted at once.
    Third = 3,
}

impl Twin {
    /// The one that is always there, of hooks that one of [`setup_flags`] gives more.
    #[inline(always)]
    pub fn first(two: u32) -> Self {
        if enabled(two) { Self::First } else { Self::Alone }
    }

    /// Its place among the programs on its hook.
    #[inline(always)]
    pub fn place(self) -> u32 {
        (self as u32).saturating_sub(Self::First as u32)
    }
}

/// A process has opened `sk`, and the hook runs in that process's own context.
#[inline(always)]
pub fn opened(sk: u64, direction: Direction, twin: Twin) {
    opened_by(Task::current(), sk, direction, twin);
}

/// See [`opened`], of a hook that has asked for the task already.
#[inline(always)]
pub fn opened_by(task: Task, sk: u64, direction: Direction, twin: Twin) {
    let (tgid, tid) = task.ids();
    if tree::leaves_out(tgid) {
        return;
    }
    // A connect has yet to send its first segment.
    let now_ns = if matches!(direction, Direction::Accept) { clock::nearly_now_ns(sk) } else { clock::now_ns() };
    if twin != Twin::Alone && is_recorded(sk, tid, twin) {
        return;
    }
    let callsite = callsites::current(task, tgid, direction, twin, now_ns);
    let connected = if matches!(direction, Direction::Accept) { record_flags::CONNECTED } else { 0 };
    let in_tree = if enabled(setup_flags::TREE) { record_flags::IN_TREE } else { 0 };
    let mut record: SocketRecord = cleared();
    record.opened_ns = now_ns;
    record.callsite = callsite;
    record.tid = tid;
    record.direction = direction.raw();
    record.flags = connected | in_tree;
    record.made_by = twin as u8;
    match records::enter(sk, &record) {
        Entry::Made => {}
        Entry::Over(earlier) => {
            cold_path();
            count_closed(&earlier, now_ns, Company::Interrupted);
        }
        Entry::Refused => {
            cold_path();
            count_lost!(sockets_unattributed);
            return;
        }
    }
    // One that runs twice may count the same while the other is preempted; nothing else that opens does.
    let company = if twin == Twin::Alone { Company::Alone } else { Company::Interrupted };
    if let Some(counters) = Counters::of(callsite, company) {
        counters.add_opened();
        counters.tell_if_busy(callsite);
    }
}

/// Whether another twin has been here. A pass may have seen its record meanwhile: twins are preempted in between.
#[inline(always)]
fn is_recorded(sk: u64, tid: u32, twin: Twin) -> bool {
    records::of(sk).is_some_and(|record| record.tid == tid && record.made_by != twin as u8)
}

/// What the end of a socket is heard by.
#[derive(Clone, Copy)]
pub enum End {
    /// A call that has not sent its FIN or reset yet.
    Call,
    /// What comes with the last segment, or after it.
    LastSegment,
}

/// The caller closes `sk`, on purpose or because it exits.
#[inline(always)]
pub fn closed_by_caller(sk: u64, end: End) {
    if enabled(setup_flags::TREE) {
        tree::closing(sk);
    }
    closed(sk, end);
}

/// The application has closed `sk`, or its end came without that. Unknown sockets are ignored.
#[inline(always)]
pub fn closed(sk: u64, end: End) {
    let Some(record) = records::at(sk) else { return };
    let Some(life) = Life::of(record) else { return };
    // Calls run with softirqs on, most ends come with them off. Not all: a segment that arrives while `tcp_close` or a walk holds
    // an orphan is dealt with once they let go, softirqs on (`release_sock`, net/core/sock.c). What hears an end in a softirq then
    // is skipped by the kernel, for the sweep to find, or [`setup_flags::ENDS_INTERRUPTED`] says that it is not.
    let (now_ns, company) = match end {
        End::Call => (clock::now_ns(), Company::Interrupted),
        End::LastSegment => {
            let is_interrupted = enabled(setup_flags::ENDS_INTERRUPTED);
            (clock::nearly_now_ns(sk), if is_interrupted { Company::Interrupted } else { Company::Alone })
        }
    };
    if records::vacate(record, &life) {
        count_closed(&life, now_ns, company);
    }
}

/// Counts the end of a socket at its call site; its lifetime only if its opening was witnessed.
#[inline(always)]
pub fn count_closed(life: &Life, now_ns: u64, company: Company) {
    let Some(counters) = Counters::of(life.callsite, company) else {
        return;
    };
    if life.flags & record_flags::ADOPTED != 0 {
        cold_path();
        counters.add_closed_adopted();
        return;
    }
    counters.add_lifetime(now_ns.saturating_sub(life.opened_ns));
}
