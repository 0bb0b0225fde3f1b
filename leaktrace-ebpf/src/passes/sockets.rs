//! The walk: a pass over every TCP socket that the kernel has in its tables, in one network namespace.

use super::{
    judge::{Sighting, judge},
    output::{Meta, shown},
    row,
};
use crate::{
    constants::{enabled, offset},
    counters::{Counting, count_opened},
    fields::{Fields, Typed},
    lifecycle::{End, closed, count_closed},
    maps::{ROW, SETTINGS, TOTALS},
    memory::{clear, cleared},
    records::{self, Adoption, Opening},
};
use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_skc_to_tcp_sock};
use core::mem::MaybeUninit;
use leaktrace_common::{
    PassSettings, PassTotals, SocketRecord, SocketRow, States, UNKNOWN_CALLSITE, record_flags, row_flags, setup_flags,
};

/// `struct bpf_iter__tcp` (net/ipv4/tcp_ipv4.c, 5.9).
#[repr(C)]
pub struct Context {
    meta: *mut Meta,
    sk_common: *mut u8,
}

/// `iter/tcp` (5.9).
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/tcp")]
pub fn pass_sockets(ctx: *mut Context) -> i32 {
    // SAFETY: the verifier knows the context.
    let common = unsafe { (*ctx).sk_common };
    if common.is_null() {
        return 0;
    }
    let state: u8 = Typed(common).read(offset!(skc_state));
    if States::NO_SOCKET.has(state) != 0 {
        return 0;
    }
    // SAFETY: the verifier knows the argument; the helper gives null for anything but a full TCP socket.
    let sk = unsafe { bpf_skc_to_tcp_sock(common.cast()) }.cast::<u8>();
    let (Some(settings), Some(totals)) = (SETTINGS.get(0), TOTALS.get_ptr_mut(0)) else {
        return 0;
    };
    if sk.is_null() {
        return 0;
    }
    // SAFETY: the verifier knows the context.
    let meta = unsafe { (*ctx).meta };
    // SAFETY: the pointer is a live map value; one sampling pass runs at a time.
    visit(Typed(sk), sk as u64, meta, settings, unsafe { &mut *totals });
    0
}

#[inline(always)]
fn visit(sk: Typed, address: u64, meta: *mut Meta, settings: &PassSettings, totals: &mut PassTotals) {
    let again = totals.shown == shown(meta);
    totals.shown = shown(meta);
    let Some(row) = ROW.get_ptr_mut(0) else { return };
    // SAFETY: the pointer is a live map value; one pass runs at a time.
    let row = unsafe { &mut *row };
    clear(row);
    let seen = row::read(sk, address, row);
    if row.flags & row_flags::ORPHAN != 0 {
        if !again {
            totals.orphans += 1;
            totals.orphan_memory_bytes += u64::from(row.memory_bytes);
        }
        // The application has closed it. With tracepoint hooks this is the first report of that.
        closed(address, End::Call);
        return;
    }
    row.cookie = cookie(sk);
    let mut unkept = MaybeUninit::uninit();
    let record = record_of(row, again, settings, totals, &mut unkept);
    // The kernel shows a socket twice if its bucket changes between two reads.
    let again = again || record.seen_pass == settings.pass;
    judge(Sighting { sk, seen, record, row, again }, meta, settings, totals);
}

#[inline(always)]
fn cookie(sk: Typed) -> u64 {
    let cookie: u64 = sk.read(offset!(skc_cookie));
    if cookie == 0 && enabled(setup_flags::SOCKET_COOKIE) {
        // SAFETY: the verifier knows the pointer.
        return unsafe { bpf_get_socket_cookie(sk.0.cast_mut().cast()) };
    }
    cookie
}

/// The record of the socket of `row`, made now if it has none. If the table is full, or a hook is just making the record, the result is a
/// temporary record in `unkept`. A full table is noted in the row.
#[inline(always)]
fn record_of<'a>(
    row: &mut SocketRow,
    again: bool,
    settings: &PassSettings,
    totals: &mut PassTotals,
    unkept: &'a mut MaybeUninit<SocketRecord>,
) -> &'a mut SocketRecord {
    let (address, cookie_low) = (row.sk, row.cookie as u32);
    if let Some(record) = records::of(address) {
        if record.cookie_low == 0 {
            record.cookie_low = cookie_low;
        }
        if record.cookie_low == cookie_low {
            return record;
        }
        // Another socket has this address now, and no hook has seen the end of the one before.
        if let Some(opening) = Opening::of(record)
            && records::vacate(record, &opening)
        {
            count_closed(&opening, settings.now_ns, Counting::Interrupted);
        }
    }
    let unkept = unkept.write(cleared());
    unkept.opened_ns = settings.now_ns;
    unkept.cookie_low = cookie_low;
    unkept.callsite = UNKNOWN_CALLSITE;
    unkept.flags = record_flags::ADOPTED;
    match records::adopt(address, unkept) {
        Adoption::Made => {
            totals.adopted += 1;
            count_opened(UNKNOWN_CALLSITE);
        }
        Adoption::Beaten => {}
        Adoption::Refused => {
            row.flags |= row_flags::UNATTRIBUTED;
            if !again {
                totals.unattributed += 1;
            }
            return unkept;
        }
    }
    match records::of(address) {
        Some(record) => record,
        None => unkept,
    }
}
