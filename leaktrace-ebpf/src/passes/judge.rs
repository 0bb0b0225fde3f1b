//! What every pass over sockets does with a socket when it has read its fields and its record: update the history, find the verdicts, add
//! to the sums, and write a row if user space wants one.

use super::{output::Output, row};
use crate::{fields::Fields, maps::CALLSITES, tree};
use leaktrace_common::{
    CallsiteCounters, Observed, PassSettings, PassTotals, SocketRecord, SocketRow, Verdicts, emit, record_flags,
    row_flags, ticks_from_ns,
};

/// One socket that a pass sees now.
pub struct Sighting<'a, F> {
    /// Where to read fields that only some sockets need.
    pub sk: F,
    /// What was read for its history.
    pub seen: Observed,
    /// Its record.
    pub record: &'a mut SocketRecord,
    /// The row that [`row::read`] has begun, with the cookie.
    pub row: &'a mut SocketRow,
    /// Whether this pass has counted it already.
    pub again: bool,
}

/// Does all that.
#[inline(always)]
pub fn judge<F: Fields>(
    sighting: Sighting<'_, F>,
    output: impl Output,
    settings: &PassSettings,
    totals: &mut PassTotals,
) {
    let Sighting { sk, seen, record, row, again } = sighting;
    record.observe(&seen, ticks_from_ns(settings.now_ns));
    record.seen_pass = settings.pass;
    row::join(row, record, settings);
    row::read_user_timeout(sk, row, settings);
    row.verdicts = Verdicts::of(row, settings).0;
    if !again {
        sum_totals(totals, row);
        if let Some(site) = CALLSITES.get_ptr_mut(row.callsite) {
            // SAFETY: the pointer is a live map value; only the pass writes its sums, and one pass runs at a time.
            sum_callsite(unsafe { &mut *site }, row, record, settings);
        }
    }
    if (settings.emit & emit::ALL != 0 || row.verdicts & settings.emit_verdicts != 0) && tree::shows(record) {
        row::describe(sk, row);
        output.socket(row);
    }
}

#[inline(always)]
fn sum_totals(totals: &mut PassTotals, row: &SocketRow) {
    totals.open += 1;
    totals.rx_queue_bytes += u64::from(row.rx_queue_bytes);
    totals.memory_bytes += u64::from(row.memory_bytes);
    if row.flags & row_flags::IN_ACCEPT_QUEUE != 0 {
        totals.in_accept_queue += 1;
    }
    if row.verdicts != 0 {
        totals.flagged += 1;
        for (bit, count) in totals.verdicts.iter_mut().enumerate() {
            *count += u64::from(row.verdicts >> bit & 1);
        }
    }
}

#[inline(always)]
fn sum_callsite(site: &mut CallsiteCounters, row: &SocketRow, record: &SocketRecord, settings: &PassSettings) {
    let sums = &mut site.sums;
    if sums.pass != u32::from(settings.pass) {
        sums.pass = u32::from(settings.pass);
        sums.open = 0;
        sums.flagged = 0;
        sums.oldest_ns = u64::MAX;
        sums.oldest_adopted = 0;
        sums.rx_queue_bytes = 0;
        sums.memory_bytes = 0;
        for count in &mut sums.verdicts {
            *count = 0;
        }
    }
    sums.open += 1;
    sums.rx_queue_bytes += u64::from(row.rx_queue_bytes);
    sums.memory_bytes += u64::from(row.memory_bytes);
    if record.opened_ns < sums.oldest_ns {
        sums.oldest_ns = record.opened_ns;
        sums.oldest_adopted = u32::from(record.flags & record_flags::ADOPTED);
    }
    if row.verdicts != 0 {
        sums.flagged += 1;
        for (bit, count) in sums.verdicts.iter_mut().enumerate() {
            *count += row.verdicts >> bit & 1;
        }
    }
}
