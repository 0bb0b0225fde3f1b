//! The sweep: drops vacant records, and those whose socket neither a sampling pass nor a holders pass has seen for a while.
//! Hooks hear every end; this mends what a hook missed, such as closes while another hook of ours was running.

use super::{pause, records::Context};
use crate::{
    callsites::Company,
    lifecycle::count_closed,
    maps::{SETTINGS, TOTALS, count_lost},
    records,
};
use leaktrace_common::{PassSettings, SocketRecord};

/// How many passes a record outlives its last sight.
const GRACE_PASSES: u16 = 2;

/// `iter/bpf_map_elem`, since 5.8.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/bpf_map_elem")]
pub fn pass_sweep(ctx: *mut Context) -> i32 {
    // SAFETY: the verifier knows the context, here and below.
    let key = unsafe { (*ctx).key };
    // SAFETY: see above.
    let value = unsafe { (*ctx).value };
    // SAFETY: see above.
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
    // SAFETY: both are live for the time of this call.
    let (sk, record) = unsafe { (*key, &mut *value) };
    visit(sk, record, settings);
    0
}

/// Drops one record if it is time.
#[inline(always)]
pub fn visit(sk: u64, record: &mut SocketRecord, settings: &PassSettings) {
    if records::is_vacant(record) {
        records::tidy(sk, record, settings);
        return;
    }
    let unseen = settings.pass.wrapping_sub(record.seen_pass) > GRACE_PASSES;
    let unheld = settings.held_pass.wrapping_sub(record.held_pass) > GRACE_PASSES;
    if unseen
        && unheld
        && record.opened_ns < settings.sweep_before_ns
        && let Some(life) = records::remove(sk, record)
    {
        count_closed(&life, settings.now_ns, Company::Interrupted);
        count_lost!(stale_records);
    }
}
