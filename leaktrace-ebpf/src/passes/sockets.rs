//! The sampling pass: every hashed TCP socket of one network namespace, joined with its record.

use super::{
    Meta,
    judge::{Sighting, judge},
    row, shown,
};
use crate::{
    callsites::{Company, UNKNOWN, count_opened},
    constants::{enabled, offset},
    kernel::{Fields, Typed},
    lifecycle::{End, closed, count_closed},
    maps::{ROW, SETTINGS, TOTALS},
    memory::{clear, cleared},
    records::{self, Adoption, Life},
};
use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_skc_to_tcp_sock};
use core::mem::MaybeUninit;
use leaktrace_common::{
    PassSettings, PassTotals, SocketRecord, SocketRow, States, record_flags, row_flags, setup_flags,
};

/// `struct bpf_iter__tcp` (net/ipv4/tcp_ipv4.c, 5.9).
#[repr(C)]
pub struct Context {
    meta: *mut Meta,
    sk_common: *mut u8,
}

/// `iter/tcp`, since 5.9.
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
        // The application has closed it. Where no hook hears that, this is the news.
        closed(address, End::Call);
        return;
    }
    row.cookie = cookie(sk);
    let mut unkept = MaybeUninit::uninit();
    let record = record_of(row, again, settings, totals, &mut unkept);
    // Kernels show a socket twice when its bucket changes between two reads.
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

/// The record of the socket that `row` is of; a fresh one for a socket that has none, in `unkept` where the table is full, which
/// the row then says, or a hook is just making it.
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
        // Another socket lives at this address now, and the end of the one before was not heard.
        if let Some(life) = Life::of(record)
            && records::vacate(record, &life)
        {
            count_closed(&life, settings.now_ns, Company::Interrupted);
        }
    }
    let unkept = unkept.write(cleared());
    unkept.opened_ns = settings.now_ns;
    unkept.cookie_low = cookie_low;
    unkept.callsite = UNKNOWN;
    unkept.flags = record_flags::ADOPTED;
    match records::adopt(address, unkept) {
        Adoption::Made => {
            totals.adopted += 1;
            count_opened(UNKNOWN);
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
