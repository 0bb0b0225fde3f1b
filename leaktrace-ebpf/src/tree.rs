//! Following the process tree of one command: which processes belong to it, and which sockets only an exit closed. Reached only with
//! [`setup_flags::TREE`].

use crate::{
    abi::PF_EXITING,
    atomic::add,
    constants::{enabled, offset},
    fields::{Address, Fields},
    maps::{LEFT, SETTINGS, TREE},
    memory::clear,
    passes::row,
    records,
    task::current_ids,
};
use aya_ebpf::helpers::{bpf_get_current_task, generated::bpf_ktime_get_boot_ns};
use leaktrace_common::{
    LeftRow, MessageKind, SocketRecord, TcpState, TreeProcess, Verdicts, record_flags, row_flags, setup_flags,
    ticks_from_ns,
};

/// Whether a tree is followed and a process does not belong to it.
#[inline(always)]
pub fn excludes(tgid: u32) -> bool {
    enabled(setup_flags::TREE) && !contains(tgid)
}

/// Whether a process belongs to the tree.
#[inline(always)]
pub fn contains(tgid: u32) -> bool {
    TREE.get_ptr(tgid).is_some()
}

/// Whether rows are written for the socket of a record.
#[inline(always)]
pub fn shows(record: &SocketRecord) -> bool {
    !enabled(setup_flags::TREE) || record.flags & record_flags::IN_TREE != 0
}

/// A process of the tree has forked process `tgid`.
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
    // User space counts the entries, so it notices a full table.
    let _ = TREE.insert(tgid, process, 0);
}

/// Whether the caller closes its descriptors because it exits.
#[inline(always)]
pub fn is_exiting() -> bool {
    // SAFETY: the helper takes nothing.
    let task = Address(unsafe { bpf_get_current_task() });
    task.read::<u32>(offset!(task_flags)) & PF_EXITING != 0
}

/// Records that the application has shut a socket down without closing it.
#[inline(always)]
pub fn half_closed(sk: u64) {
    if let Some(record) = records::of(sk) {
        record.flags |= record_flags::HALF_CLOSED;
    }
}

/// Reports a socket that is being closed, if only the exit of the caller closes it. Returns whether that is so.
#[inline(always)]
pub fn closing(sk: u64) -> bool {
    let Some(record) = records::of(sk) else { return false };
    let is_in_tree = record.flags & record_flags::IN_TREE != 0;
    // A half-closed socket may have been orphaned long ago and end now because of its peer.
    if !is_in_tree || record.flags & record_flags::HALF_CLOSED != 0 || !is_exiting() {
        return false;
    }
    let connected = Address(sk).read::<u64>(offset!(bytes_acked)) | Address(sk).read::<u64>(offset!(bytes_received));
    if connected != 0 {
        record.flags |= record_flags::CONNECTED;
    }
    let state: u8 = Address(sk).read(offset!(skc_state));
    if matches!(TcpState::from_raw(state), TcpState::Closed) && record.flags & record_flags::CONNECTED == 0 {
        // A refused connect is no connection.
        return false;
    }
    let (tgid, _) = current_ids();
    if let Some(process) = TREE.get_ptr_mut(tgid) {
        // SAFETY: the pointer is a live map value.
        add(unsafe { &raw mut (*process).left_open }, 1);
    }
    report(sk, record, tgid);
    true
}

#[inline(always)]
fn report(sk: u64, record: &mut SocketRecord, tgid: u32) {
    let Some(settings) = SETTINGS.get(0) else { return };
    // User space compares rows with counts, so it notices a row that did not fit.
    let Some(mut room) = LEFT.reserve::<LeftRow>(0) else { return };
    // SAFETY: the helper takes nothing.
    let now_ns = unsafe { bpf_ktime_get_boot_ns() };
    // SAFETY: the reservation is exactly one LeftRow, and every field is written before it is read.
    let left = unsafe { &mut *room.as_mut_ptr() };
    left.kind = MessageKind::LeftRow.raw();
    left.tgid = tgid;
    left.at_ns = now_ns;
    let row = &mut left.socket;
    clear(row);
    let seen = row::read(Address(sk), sk, row);
    let now = ticks_from_ns(now_ns);
    record.observe(&seen, now);
    row.flags &= !(row_flags::IN_ACCEPT_QUEUE | row_flags::ORPHAN);
    row::join_at(row, record, now_ns, settings.held_pass);
    row::read_user_timeout(Address(sk), row, settings);
    row.verdicts = Verdicts::of(row, settings).0;
    row.cookie = Address(sk).read(offset!(skc_cookie));
    row::describe(Address(sk), row);
    room.submit(0);
}
