//! The pass over records: it visits every socket that has a record, in any network namespace, without the kernel's own tables.
//!
//! A walk over those tables ([`super::sockets`]) locks each bucket and each socket, and then looks up the record, which is not in the
//! cache. From a record to its socket is one pointer. The memory there may have been released, or be another socket: it is read with
//! checks, and used only if it has the record's cookie. Sockets without a record are found by the next walk, records without a socket by
//! the sweep.

use super::{
    judge::{Sighting, judge},
    output::{Meta, Output, shown},
    pause, row,
};
use crate::{
    abi::{AF_INET, AF_INET6},
    constants::{enabled, offset, setup},
    fields::{Address, Fields, rdonly_cast},
    lifecycle::{End, closed},
    map_values::{BATCH_SOCKETS, Batch},
    maps::{BATCH, ROW, SETTINGS, TOTALS},
    memory::clear,
    records,
};
use leaktrace_common::{PassSettings, PassTotals, SocketRecord, States, conditions::differs, row_flags, setup_flags};

/// `struct bpf_iter__bpf_map_elem` (kernel/bpf/map_iter.c, 5.8).
#[repr(C)]
pub struct Context {
    pub meta: *mut Meta,
    map: *mut u8,
    pub key: *const u64,
    pub value: *mut SocketRecord,
}

/// `iter/bpf_map_elem` (5.8).
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/bpf_map_elem")]
pub fn pass_records(ctx: *mut Context) -> i32 {
    // SAFETY: the verifier knows the context.
    let key = unsafe { (*ctx).key };
    // SAFETY: the verifier knows the context.
    let meta = unsafe { (*ctx).meta };
    let (Some(settings), Some(totals), Some(batch)) = (SETTINGS.get(0), TOTALS.get_ptr_mut(0), BATCH.get_ptr_mut(0))
    else {
        return 0;
    };
    // SAFETY: the pointer is a live map value; one pass runs at a time.
    let totals = unsafe { &mut *totals };
    // SAFETY: the pointer is a live map value; one pass runs at a time.
    let batch = unsafe { &mut *batch };
    let is_end = key.is_null();
    // Shown again because its rows, or those of its batch, did not fit.
    let again = totals.shown == shown(meta);
    if !is_end && !again {
        if pause::is_due(meta, totals) {
            pause::begin(meta);
            return 0;
        }
        if totals.shown == 0 {
            // Removes what the last pass left.
            batch.clear();
        }
        totals.shown = shown(meta);
    }
    if !enabled(setup_flags::RDONLY_CAST) {
        if !is_end {
            // SAFETY: the key is live during this call.
            let sk = unsafe { *key };
            visit(Address(sk), sk, meta, settings, totals);
        }
        return 0;
    }
    let is_ready = if is_end {
        totals.shown != 0 && batch.is_partly_full()
    } else {
        // SAFETY: the key is live during this call.
        again || batch.add(unsafe { *key })
    };
    if is_ready {
        visit_batch(batch, meta, settings, totals);
    }
    0
}

/// Visits the sockets of a batch.
#[inline(always)]
pub fn visit_batch(batch: &Batch, output: impl Output, settings: &PassSettings, totals: &mut PassTotals) {
    batch.fetch();
    for place in 0..BATCH_SOCKETS {
        if let Some(sk) = batch.get(place) {
            visit(rdonly_cast(sk, setup!(tcp_sock_type)), sk, output, settings, totals);
        }
    }
}

#[inline(always)]
fn visit<F: Fields>(sk: F, address: u64, output: impl Output, settings: &PassSettings, totals: &mut PassTotals) {
    let Some(record) = records::at(address) else { return };
    if records::is_vacant(record) {
        records::remove_vacant(address, record, settings);
        return;
    }
    let cookie: u64 = sk.read(offset!(skc_cookie));
    if !is_connection(sk) || (record.cookie_low != 0 && record.cookie_low != cookie as u32) {
        return;
    }
    record.cookie_low = cookie as u32;
    let Some(row) = ROW.get_ptr_mut(0) else { return };
    // SAFETY: the pointer is a live map value; one pass runs at a time.
    let row = unsafe { &mut *row };
    clear(row);
    let seen = row::read(sk, address, row);
    if row.flags & row_flags::ORPHAN != 0 {
        // The application has closed it. With tracepoint hooks this is the first report of that.
        closed(address, End::Call);
        return;
    }
    row.cookie = cookie;
    // A map shows an entry twice if another takes its place meanwhile.
    let again = record.seen_pass == settings.pass;
    judge(Sighting { sk, seen, record, row, again }, output, settings, totals);
}

/// Whether this can be a connection that TCP has not finished with. Finished ones are left to the holders pass.
#[inline(always)]
fn is_connection(sk: impl Fields) -> bool {
    let family: u16 = sk.read(offset!(skc_family));
    let is_other = differs(family.into(), AF_INET.into()) & differs(family.into(), AF_INET6.into());
    is_other | States::NO_SOCKET.or(States::CLOSED).has(sk.read(offset!(skc_state))) == 0
}
