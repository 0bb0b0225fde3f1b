//! The holders pass: every descriptor of every process. It finds out which process holds a socket now. It also finds sockets that TCP has
//! finished with although a process still holds them: the kernel has those in no table, so no other pass sees them.

use super::{
    output::{Meta, shown, write_row},
    row,
};
use crate::{
    abi::{S_IFMT, S_IFSOCK},
    callsites::of_holder,
    constants::{enabled, offset},
    counters::{Counters, Counting, count_opened},
    fields::{Address, Fields, Pointer, Typed},
    maps::{HOLDING, ROW, SETTINGS},
    memory::{clear, cleared},
    protocol::tcp_behind,
    records::{self, Adoption},
    tree,
};
use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_sock_from_file};
use leaktrace_common::{
    HolderRow, HoldersProgress, PassSettings, ProcessRow, SocketRecord, TcpState, UNKNOWN_CALLSITE, Verdicts,
    conditions::at_least, emit, record_flags, row_flags, row_kind, setup_flags, ticks_from_ns,
};

/// `struct bpf_iter__task_file` (kernel/bpf/task_iter.c, 5.8).
#[repr(C)]
pub struct Context {
    meta: *mut Meta,
    task: *mut u8,
    fd: u32,
    file: *mut u8,
}

/// `iter/task_file` (5.8). Threads that share the descriptors of their process are shown once.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub fn pass_holders(ctx: *mut Context) -> i32 {
    // SAFETY: the verifier knows the context.
    let task = unsafe { (*ctx).task };
    // SAFETY: the verifier knows the context.
    let file = unsafe { (*ctx).file };
    // SAFETY: the verifier knows the context.
    let meta = unsafe { (*ctx).meta };
    let (Some(settings), Some(progress)) = (SETTINGS.get(0), HOLDING.get_ptr_mut(0)) else {
        return 0;
    };
    // SAFETY: the pointer is a live map value; one holders pass runs at a time.
    let progress = unsafe { &mut *progress };
    let again = progress.shown == shown(meta);
    progress.shown = shown(meta);
    if task.is_null() || file.is_null() {
        next_process(progress, 0, again, meta);
        return 0;
    }
    let tgid: u32 = Typed(task).read(offset!(task_tgid));
    next_process(progress, tgid, again, meta);
    if !again {
        progress.current.fds += 1;
        progress.descriptors += 1;
    }
    let inode: u64 = Typed(file).read(offset!(file_inode));
    let mode: u16 = Address(inode).read(offset!(inode_mode));
    if mode & S_IFMT != S_IFSOCK {
        return 0;
    }
    let socket: u64 = Typed(file).read(offset!(file_private));
    let Some(sk) = tcp_behind(Address(socket).read(offset!(socket_sk))) else {
        return 0;
    };
    // SAFETY: the verifier knows the context.
    let fd = unsafe { (*ctx).fd };
    let comm: [u8; 16] = Address(task as u64).read(offset!(task_comm));
    progress.current.comm = comm;
    visit(Held { sk, fd, file }, meta, settings, progress, again);
    0
}

/// Writes the row of a process when the next process begins, and again if that row did not fit.
#[inline(always)]
fn next_process(progress: &mut HoldersProgress, tgid: u32, again: bool, meta: *mut Meta) {
    if progress.current.tgid != tgid {
        progress.previous = progress.current;
        progress.flushed = progress.shown;
        clear(&raw mut progress.current);
        progress.current.kind = row_kind::PROCESS;
        progress.current.tgid = tgid;
    } else if !again || progress.flushed != progress.shown {
        return;
    }
    if progress.previous.tgid != 0 && progress.previous.sockets != 0 {
        write_row(meta, &progress.previous);
    }
}

/// A descriptor of a TCP socket.
#[derive(Clone, Copy)]
struct Held {
    sk: u64,
    fd: u32,
    file: *mut u8,
}

/// The cookie of a socket, made now if it has none: the socket may have ended before any pass saw it. The file of an MPTCP socket does not
/// lead to its subflow, so the subflow keeps the cookie it has.
#[inline(always)]
fn cookie(file: *mut u8, sk: u64) -> u64 {
    let cookie: u64 = Address(sk).read(offset!(skc_cookie));
    if cookie != 0 || !enabled(setup_flags::SOCKET_COOKIE) {
        return cookie;
    }
    // SAFETY: the verifier knows the file.
    let socket = unsafe { bpf_sock_from_file(file.cast()) }.cast::<u8>();
    if socket.is_null() {
        return 0;
    }
    let typed: *mut u8 = Typed(socket).read::<Pointer>(offset!(socket_sk)).0;
    if typed.is_null() || typed as u64 != sk {
        return 0;
    }
    // SAFETY: the verifier knows the socket.
    unsafe { bpf_get_socket_cookie(typed.cast()) }
}

#[inline(always)]
fn visit(held: Held, meta: *mut Meta, settings: &PassSettings, progress: &mut HoldersProgress, again: bool) {
    let Held { sk, fd, file } = held;
    let now = ticks_from_ns(settings.now_ns);
    let Some(row) = ROW.get_ptr_mut(0) else { return };
    // SAFETY: the pointer is a live map value; one pass runs at a time.
    let row = unsafe { &mut *row };
    clear(row);
    let seen = row::read(Address(sk), sk, row);
    let state = TcpState::from_raw(row.state);
    if matches!(state, TcpState::Listen) {
        return;
    }
    let is_new = records::of(sk).is_none() && adopt(sk, state, settings);
    let Some(record) = records::of(sk) else {
        return;
    };
    let holding = &mut progress.current;
    if !again {
        holding.sockets += 1;
        holding.memory_bytes += u64::from(row.memory_bytes);
        holding.rx_queue_bytes += u64::from(row.rx_queue_bytes);
    }
    if record.held_pass != settings.held_pass {
        record.held_pass = settings.held_pass;
        record.holder_tgid = holding.tgid;
        record.holder_fd = fd;
    }
    assign_callsite(record, holding, settings.now_ns);
    if is_new {
        progress.adopted += 1;
    }
    if is_new || matches!(state, TcpState::Closed) {
        record.observe(&seen, now);
    }
    if matches!(state, TcpState::Closed) {
        record.flags |= was_connected(sk) as u8 * record_flags::CONNECTED;
        record.seen_pass = settings.pass;
    }
    if matches!(state, TcpState::Closed) && record.flags & record_flags::CONNECTED == 0 {
        // A refused connect is no connection.
        return;
    }
    row::join(row, record, settings);
    row::read_user_timeout(Address(sk), row, settings);
    row.verdicts = Verdicts::of(&row, settings).0;
    if (settings.emit & emit::ALL == 0 && row.verdicts & settings.emit_verdicts == 0) || !tree::shows(record) {
        return;
    }
    if matches!(state, TcpState::Closed) {
        row.flags |= row_flags::FROM_HOLDER;
        row.cookie = cookie(file, sk);
        row::describe(Address(sk), row);
        write_row(meta, row);
    }
    write_row(meta, &HolderRow { kind: row_kind::HOLDER, tgid: holding.tgid, sk, fd, _pad: 0 });
}

/// 1 if a socket in CLOSED was connected: the peer has acknowledged at least the SYN, or sent something.
#[inline(always)]
fn was_connected(sk: u64) -> u32 {
    let acknowledged: u64 = Address(sk).read(offset!(bytes_acked));
    let received: u64 = Address(sk).read(offset!(bytes_received));
    at_least(acknowledged | received, 1)
}

/// Adopts a socket that has no record, unless it was never connected. In the first sample this pass runs before the one over sockets, so
/// that sockets have their call sites when they are summed up.
#[inline(always)]
fn adopt(sk: u64, state: TcpState, settings: &PassSettings) -> bool {
    let mut record: SocketRecord = cleared();
    record.opened_ns = settings.now_ns;
    record.callsite = UNKNOWN_CALLSITE;
    record.flags = record_flags::ADOPTED;
    if matches!(state, TcpState::Closed) {
        let port: u16 = Address(sk).read(offset!(skc_dport));
        if port == 0 || was_connected(sk) == 0 {
            return false;
        }
    }
    if records::adopt(sk, &record) != Adoption::Made {
        return false;
    }
    count_opened(UNKNOWN_CALLSITE);
    true
}

/// Moves an adopted socket from the unknown call site to the one of its holder.
#[inline(always)]
fn assign_callsite(record: &mut SocketRecord, holding: &ProcessRow, now_ns: u64) {
    if record.callsite != UNKNOWN_CALLSITE || record.flags & record_flags::ADOPTED == 0 {
        return;
    }
    let callsite = of_holder(holding.tgid, now_ns, holding.comm);
    let in_tree = enabled(setup_flags::TREE) && tree::contains(holding.tgid);
    let flags = if in_tree { record_flags::IN_TREE } else { 0 };
    if callsite == UNKNOWN_CALLSITE || !records::set_callsite(record, callsite, flags) {
        return;
    }
    if let Some(counters) = Counters::of(UNKNOWN_CALLSITE, Counting::Interrupted) {
        counters.take_opened();
    }
    count_opened(callsite);
}
