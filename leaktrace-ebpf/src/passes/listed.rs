//! Passes over records without an iterator over their map, which some hardened kernels refuse to load: user space asks the map for
//! its keys, a list at a time, and has these programs run over each. They are raw tracepoints by type, because the kernel runs
//! such a program when it is asked to (`bpf_prog_test_run_raw_tp`, net/bpf/test_run.c, 5.10), and are never attached to one.
//!
//! Between two lists user space comes back, so that a list needs no pause, and it has a row for each of its keys.
//!
//! Where there are few records, passes go so on every kernel from 6.2 on, and user space need not even ask: it has their keys from
//! [`NEW_KEYS`](crate::maps::NEW_KEYS). The table has a bucket for each entry that it has room for, and to go through those takes
//! milliseconds, and what others had in the processor's caches, however few are used.

use super::{Output, records::visit_batch, sweep};
use crate::{
    constants::enabled,
    maps::{BATCH, LIST, LISTED, LISTED_ROWS, SETTINGS, TOTALS},
    passes::batch,
    records,
};
use aya_ebpf::{helpers::generated::bpf_loop, macros::raw_tracepoint, programs::RawTracePointContext};
use core::ffi::c_void;
use leaktrace_common::{Listed, SocketRow, setup_flags};

/// [`super::records::pass_records`], of the listed ones. Needs `rdonly_cast` (6.2).
#[raw_tracepoint]
pub fn list_records(_: RawTracePointContext) -> i32 {
    if enabled(setup_flags::RDONLY_CAST) {
        for_each(batch::SOCKETS as u32, records_from);
    }
    0
}

/// [`super::sweep::pass_sweep`], of the listed ones.
#[raw_tracepoint]
pub fn list_sweep(_: RawTracePointContext) -> i32 {
    for_each(1, sweep_one);
    0
}

/// What `bpf_loop` (5.17) calls: the number of the round, and nothing of ours.
type Round = extern "C" fn(u32, *mut c_void) -> i64;

/// Goes through the list, so many keys in a round.
#[inline(always)]
fn for_each(keys: u32, round: Round) {
    let Some(listed) = listed() else { return };
    let rounds = (listed.len as u32).div_ceil(keys);
    // SAFETY: the verifier checks the function and how often it may run.
    let _ = unsafe { bpf_loop(rounds, round as *mut c_void, core::ptr::null_mut(), 0) };
}

extern "C" fn records_from(round: u32, _: *mut c_void) -> i64 {
    let (Some(settings), Some(totals), Some(batch)) = (SETTINGS.get(0), TOTALS.get_ptr_mut(0), BATCH.get_ptr_mut(0))
    else {
        return 1;
    };
    // SAFETY: the pointers are live map values, here and below; one pass runs at a time.
    let totals = unsafe { &mut *totals };
    // SAFETY: see above.
    let batch = unsafe { &mut *batch };
    batch.clear();
    let first = round * batch::SOCKETS as u32;
    for ahead in 0..batch::SOCKETS as u32 {
        if let Some(sk) = key(first + ahead)
            && !is_marked_gone(first + ahead, sk)
        {
            batch.add(sk);
        }
    }
    visit_batch(batch, List, settings, totals);
    0
}

extern "C" fn sweep_one(round: u32, _: *mut c_void) -> i64 {
    let Some(settings) = SETTINGS.get(0) else { return 1 };
    if let Some(sk) = key(round)
        && !is_marked_gone(round, sk)
        && let Some(record) = records::at(sk)
    {
        sweep::visit(sk, record, settings);
    }
    0
}

/// Where user space wants to know which keys have no record any more, marks this one if it has none; whether it did.
#[inline(always)]
fn is_marked_gone(place: u32, sk: u64) -> bool {
    if listed().is_none_or(|listed| listed.marks_gone == 0) || records::at(sk).is_some() {
        return false;
    }
    if let Some(key) = LIST.get_ptr_mut(place) {
        // SAFETY: the pointer is a live map value; user space looks at it when the program has returned.
        unsafe { *key = 0 };
    }
    true
}

#[inline(always)]
fn listed<'a>() -> Option<&'a mut Listed> {
    // SAFETY: the pointer is a live map value; one pass runs at a time.
    LISTED.get_ptr_mut(0).map(|listed| unsafe { &mut *listed })
}

/// The key at a place of the list.
#[inline(always)]
fn key(place: u32) -> Option<u64> {
    if u64::from(place) >= listed()?.len {
        return None;
    }
    LIST.get(place).copied()
}

/// Rows of a list go where user space finds them.
#[derive(Clone, Copy)]
struct List;

impl Output for List {
    #[inline(always)]
    fn socket(self, row: &SocketRow) {
        let Some(listed) = listed() else { return };
        if let Some(place) = LISTED_ROWS.get_ptr_mut(listed.rows as u32) {
            // SAFETY: the pointer is a live map value; user space looks at it when the program has returned.
            unsafe { *place = *row };
            listed.rows += 1;
        }
    }
}
