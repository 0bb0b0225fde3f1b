//! Following the tree of one command: who belongs to it, and what only an exit closed. Nothing here is reached unless
//! [`setup_flags::TREE`] is set.

use crate::{
    constants::{enabled, offset},
    kernel::{Address, Fields, current_ids},
    maps::{LEFT, SETTINGS, TREE, add},
    memory::clear,
    passes::row,
    records,
};
use aya_ebpf::helpers::{bpf_get_current_task, generated::bpf_ktime_get_boot_ns};
use leaktrace_common::{
    LeftRow, SocketRecord, TcpState, TreeProcess, Verdicts, record_flags, row_flags, setup_flags, ticks_from_ns,
};

/// `PF_EXITING` (include/linux/sched.h): `exit_signals` sets it before the descriptors are closed.
const PF_EXITING: u32 = 0x4;

/// Whether a process is left alone because it is not of the tree that is followed.
#[inline(always)]
pub fn leaves_out(tgid: u32) -> bool {
    enabled(setup_flags::TREE) && !contains(tgid)
}

/// Whether a process is of the tree.
#[inline(always)]
pub fn contains(tgid: u32) -> bool {
    TREE.get_ptr(tgid).is_some()
}

/// Whether rows are written for a socket with this record.
#[inline(always)]
pub fn shows(record: &SocketRecord) -> bool {
    !enabled(setup_flags::TREE) || record.flags & record_flags::IN_TREE != 0
}

/// A process of the tree has forked another.
#[inline(always)]
pub fn joined(tgid: u32, parent: u32) {
    if let Some(known) = TREE.get_ptr(tgid) {
        // SAFETY: the pointer is a live map value.
        if unsafe { (*known).exited_ns } == 0 {
            return;
        }
    }
    // SAFETY: the helper takes nothing.
    let started_ns = unsafe { bpf_ktime_get_boot_ns() };
    let process = TreeProcess { started_ns, exited_ns: 0, left_open: 0, parent, exit_code: 0, comm: [0; 16] };
    // A full table is seen by user space, which counts what it holds.
    let _ = TREE.insert(tgid, process, 0);
}

/// Whether the caller is closing its descriptors because it exits.
#[inline(always)]
pub fn is_exiting() -> bool {
    // SAFETY: the helper takes nothing.
    let task = Address(unsafe { bpf_get_current_task() });
    task.read::<u32>(offset!(task_flags)) & PF_EXITING != 0
}

/// Remembers that the application has shut a socket down without closing it.
#[inline(always)]
pub fn half_closed(sk: u64) {
    if let Some(record) = records::of(sk) {
        record.flags |= record_flags::HALF_CLOSED;
    }
}

/// Tells user space of a socket that is being closed, if nothing but the exit of the caller closes it; whether that is so.
#[inline(always)]
pub fn closing(sk: u64) -> bool {
    let Some(record) = records::of(sk) else { return false };
    let is_ours = record.flags & record_flags::IN_TREE != 0;
    // Half closed, it may long be orphaned and end now because its peer does.
    if !is_ours || record.flags & record_flags::HALF_CLOSED != 0 || !is_exiting() {
        return false;
    }
    let connected = Address(sk).read::<u64>(offset!(bytes_acked)) | Address(sk).read::<u64>(offset!(bytes_received));
    if connected != 0 {
        record.flags |= record_flags::CONNECTED;
    }
    let state: u8 = Address(sk).read(offset!(skc_state));
    if matches!(TcpState::from_raw(state), TcpState::Closed) && record.flags & record_flags::CONNECTED == 0 {
        // A connect that was refused: no connection.
        return false;
    }
    let (tgid, _) = current_ids();
    if let Some(process) = TREE.get_ptr_mut(tgid) {
        // SAFETY: the pointer is a live map value.
        add(unsafe { &raw mut (*process).left_open }, 1);
    }
    tell(sk, record, tgid);
    true
}

#[inline(always)]
fn tell(sk: u64, record: &mut SocketRecord, tgid: u32) {
    let Some(settings) = SETTINGS.get(0) else { return };
    // What finds no room is missed by user space, which compares rows with counts.
    let Some(mut room) = LEFT.reserve::<LeftRow>(0) else { return };
    // SAFETY: the helper takes nothing.
    let now_ns = unsafe { bpf_ktime_get_boot_ns() };
    // SAFETY: the reservation is exactly one LeftRow, and every field is written before it is read.
    let left = unsafe { &mut *room.as_mut_ptr() };
    left.at_ns = now_ns;
    left.tgid = tgid;
    left._pad = 0;
    let row = &mut left.socket;
    clear(row);
    let seen = row::read(Address(sk), sk, row);
    let now = ticks_from_ns(now_ns);
    record.observe(&seen, now);
    row.flags &= !(row_flags::IN_ACCEPT_QUEUE | row_flags::ORPHAN);
    row::join_at(row, record, now_ns, settings.held_pass);
    row::look_for_a_guard(Address(sk), row, settings);
    row.verdicts = Verdicts::of(row, settings).0;
    row.cookie = Address(sk).read(offset!(skc_cookie));
    row::describe(Address(sk), row);
    room.submit(0);
}
