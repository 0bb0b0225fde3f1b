//! The sweep: removes vacant records, and records whose socket neither a sampling pass nor a holders pass has seen for some time. It
//! corrects what a hook missed, such as a close while another hook of leaktrace was running.

use super::{pause, records::Context};
use crate::{
    counters::Counting,
    lifecycle::count_closed,
    losses::count_lost,
    maps::{SETTINGS, TOTALS},
    records,
};
use leaktrace_common::{PassSettings, SocketRecord};

/// How many passes may miss a socket before its record is removed.
const GRACE_PASSES: u16 = 2;

/// `iter/bpf_map_elem` (5.8).
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/bpf_map_elem")]
pub fn pass_sweep(ctx: *mut Context) -> i32 {
    // SAFETY: the verifier knows the context.
    let key = unsafe { (*ctx).key };
    // SAFETY: the verifier knows the context.
    let value = unsafe { (*ctx).value };
    // SAFETY: the verifier knows the context.
    let meta = unsafe { (*ctx).meta };
    if key.is_null() || value.is_null() {
        return 0;
    }
    let (Some(settings), Some(totals)) = (SETTINGS.get(0), TOTALS.get_ptr_mut(0)) else {
        return 0;
    };
    // SAFETY: the pointer is a live map value; one pass runs at a time.
    if pause::is_due(meta, unsafe { &mut *totals }) {
        pause::begin(meta);
        return 0;
    }
    // SAFETY: both are live during this call.
    let (sk, record) = unsafe { (*key, &mut *value) };
    visit(sk, record, settings);
    0
}

/// Removes a record if it is time.
#[inline(always)]
pub fn visit(sk: u64, record: &mut SocketRecord, settings: &PassSettings) {
    if records::is_vacant(record) {
        records::remove_vacant(sk, record, settings);
        return;
    }
    let unseen = settings.pass.wrapping_sub(record.seen_pass) > GRACE_PASSES;
    let unheld = settings.held_pass.wrapping_sub(record.held_pass) > GRACE_PASSES;
    if unseen
        && unheld
        && record.opened_ns < settings.sweep_before_ns
        && let Some(opening) = records::remove(sk, record)
    {
        count_closed(&opening, settings.now_ns, Counting::Interrupted);
        count_lost!(stale_records);
    }
}
