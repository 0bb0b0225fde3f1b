//! Passes over records by lists of keys: user space writes a list and runs one of these programs over it. Their type is raw tracepoint,
//! because the kernel runs such a program on request (`bpf_prog_test_run_raw_tp`, net/bpf/test_run.c, 5.10). They are never attached to a
//! tracepoint.
//!
//! Hardened kernels may forbid iterators over maps. User space then reads the keys from the map. From 6.2 on, lists are also used while
//! there are few records: user space has their keys from [`NEW_KEYS`](crate::maps::NEW_KEYS). Going through the map would take
//! milliseconds, and push other data out of the processor's caches, because the map has a bucket for each entry it has room for.
//!
//! A list is short, so it needs no pause, and there is room for one row for each of its keys.

use super::{output::Output, records::visit_batch, sweep};
use crate::{
    constants::enabled,
    map_values::BATCH_SOCKETS,
    maps::{BATCH, LIST, LISTED, LISTED_ROWS, SETTINGS, TOTALS},
    records,
};
use aya_ebpf::{helpers::generated::bpf_loop, macros::raw_tracepoint, programs::RawTracePointContext};
use core::ffi::c_void;
use leaktrace_common::{Listed, SocketRow, setup_flags};

/// [`super::records::pass_records`], for the listed records. Needs `bpf_rdonly_cast` (6.2).
#[raw_tracepoint]
pub fn list_records(_: RawTracePointContext) -> i32 {
    if enabled(setup_flags::RDONLY_CAST) {
        for_each(BATCH_SOCKETS as u32, records_from);
    }
    0
}

/// [`super::sweep::pass_sweep`], for the listed records. Needs `bpf_loop` (5.17).
#[raw_tracepoint]
pub fn list_sweep(_: RawTracePointContext) -> i32 {
    for_each(1, sweep_one);
    0
}

/// What `bpf_loop` (5.17) calls, with the number of the round and a context that is not used.
type Round = extern "C" fn(u32, *mut c_void) -> i64;

/// Goes through the list, `keys` keys in each round.
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
    // SAFETY: the pointer is a live map value; one pass runs at a time.
    let totals = unsafe { &mut *totals };
    // SAFETY: the pointer is a live map value; one pass runs at a time.
    let batch = unsafe { &mut *batch };
    batch.clear();
    let first = round * BATCH_SOCKETS as u32;
    for ahead in 0..BATCH_SOCKETS as u32 {
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

/// Marks a key that has no record any more, if user space asked for that. Returns whether it did.
#[inline(always)]
fn is_marked_gone(place: u32, sk: u64) -> bool {
    if listed().is_none_or(|listed| listed.marks_gone == 0) || records::at(sk).is_some() {
        return false;
    }
    if let Some(key) = LIST.get_ptr_mut(place) {
        // SAFETY: the pointer is a live map value; user space reads it when the program has returned.
        unsafe { *key = 0 };
    }
    true
}

#[inline(always)]
fn listed<'a>() -> Option<&'a mut Listed> {
    // SAFETY: the pointer is a live map value; one pass runs at a time.
    LISTED.get_ptr_mut(0).map(|listed| unsafe { &mut *listed })
}

/// The key at an index of the list.
#[inline(always)]
fn key(place: u32) -> Option<u64> {
    if u64::from(place) >= listed()?.len {
        return None;
    }
    LIST.get(place).copied()
}

/// Writes rows to [`LISTED_ROWS`].
#[derive(Clone, Copy)]
struct List;

impl Output for List {
    #[inline(always)]
    fn socket(self, row: &SocketRow) {
        let Some(listed) = listed() else { return };
        if let Some(place) = LISTED_ROWS.get_ptr_mut(listed.rows as u32) {
            // SAFETY: the pointer is a live map value; user space reads it when the program has returned.
            unsafe { *place = *row };
            listed.rows += 1;
        }
    }
}
