//! The two events that hooks report: a socket was opened, a socket was closed.

use crate::{
    callsites, clock,
    constants::enabled,
    counters::{Counters, Counting},
    duplicates::HookProgram,
    losses::count_lost,
    memory::cleared,
    records::{self, Entry, Opening},
    task::Task,
    tree,
};
use core::hint::cold_path;
use leaktrace_common::{Direction, SocketRecord, record_flags, setup_flags};

/// A process has opened `sk`. The hook runs in the context of that process.
#[inline(always)]
pub fn opened(sk: u64, direction: Direction, program: HookProgram) {
    opened_by(Task::current(), sk, direction, program);
}

/// Like [`opened`], for a hook that already has the task.
#[inline(always)]
pub fn opened_by(task: Task, sk: u64, direction: Direction, program: HookProgram) {
    let (tgid, tid) = task.ids();
    if tree::excludes(tgid) {
        return;
    }
    // A connect has not sent its first segment yet.
    let now_ns = if matches!(direction, Direction::Accept) { clock::nearly_now_ns(sk) } else { clock::now_ns() };
    if program != HookProgram::Only && is_recorded(sk, tid, program) {
        return;
    }
    let callsite = callsites::current(task, tgid, direction, program, now_ns);
    let connected = if matches!(direction, Direction::Accept) { record_flags::CONNECTED } else { 0 };
    let in_tree = if enabled(setup_flags::TREE) { record_flags::IN_TREE } else { 0 };
    let mut record: SocketRecord = cleared();
    record.opened_ns = now_ns;
    record.callsite = callsite;
    record.tid = tid;
    record.direction = direction.raw();
    record.flags = connected | in_tree;
    record.made_by = program as u8;
    match records::enter(sk, &record) {
        Entry::Made => {}
        Entry::Replaced(earlier) => {
            cold_path();
            count_closed(&earlier, now_ns, Counting::Interrupted);
        }
        Entry::Refused => {
            cold_path();
            count_lost!(sockets_unattributed);
            return;
        }
    }
    // A duplicate may count the same while this program is preempted. No other opening hook can.
    let counting = if program == HookProgram::Only { Counting::Alone } else { Counting::Interrupted };
    if let Some(counters) = Counters::of(callsite, counting) {
        counters.add_opened();
        counters.report_if_busy(callsite);
    }
}

/// Whether another program of this hook has recorded the open. A pass may have seen the record meanwhile, because programs are preempted
/// in between.
#[inline(always)]
fn is_recorded(sk: u64, tid: u32, program: HookProgram) -> bool {
    records::of(sk).is_some_and(|record| record.tid == tid && record.made_by != program as u8)
}

/// What reports the end of a socket.
#[derive(Clone, Copy)]
pub enum End {
    /// A call, which has not sent its FIN or reset yet.
    Call,
    /// An event at the last segment or after it.
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

/// The application has closed `sk`, or the socket ended in another way. A socket without a record is ignored.
#[inline(always)]
pub fn closed(sk: u64, end: End) {
    let Some(record) = records::at(sk) else { return };
    let Some(opening) = Opening::of(record) else { return };
    let (now_ns, counting) = match end {
        End::Call => (clock::now_ns(), Counting::Interrupted),
        End::LastSegment => (clock::nearly_now_ns(sk), counting_at_last_segment()),
    };
    if records::vacate(record, &opening) {
        count_closed(&opening, now_ns, counting);
    }
}

/// Most of these ends come with softirqs off, so nothing interrupts the counting. Some do not: a segment that arrives while `tcp_close` or
/// a walk holds an orphan is processed later with softirqs on (`release_sock`, net/core/sock.c). If an end in a softirq interrupts it
/// then, the kernel skips the second program and the sweep finds that socket; or else [`setup_flags::ENDS_INTERRUPTED`] is set.
#[inline(always)]
fn counting_at_last_segment() -> Counting {
    if enabled(setup_flags::ENDS_INTERRUPTED) { Counting::Interrupted } else { Counting::Alone }
}

/// Counts the end of a socket at its call site, with its lifetime if its opening was seen.
#[inline(always)]
pub fn count_closed(opening: &Opening, now_ns: u64, counting: Counting) {
    let Some(counters) = Counters::of(opening.callsite, counting) else {
        return;
    };
    if opening.flags & record_flags::ADOPTED != 0 {
        cold_path();
        counters.add_closed_adopted();
        return;
    }
    counters.add_lifetime(now_ns.saturating_sub(opening.opened_ns));
}
