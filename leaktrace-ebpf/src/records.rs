//! The table of records, one for each open socket.
//!
//! When a socket is closed, its record stays in the table as vacant. The kernel gives the memory of a closed socket to the next one, so
//! the next open nearly always finds a vacant record at its address and need not insert one. Passes remove records that stay vacant
//! from one pass to the next ([`remove_vacant`]).
//!
//! Hooks and passes on several processors may want the same record at the same time: a pass adopts a socket whose accept is just
//! returning, or removes a record that an open is reusing. So a change of ownership ([`SocketRecord::opened_ns`]) is one atomic step
//! ([`exchange`], 5.12), and only one of two succeeds. Before 5.12 there is no such step, and a pass may overwrite an open between its
//! check and its change.

use crate::{
    atomic::exchange,
    constants::enabled,
    maps::{KEYS_MISSED, NEW_KEYS, SOCKETS},
    verifier::end_of_round,
};
use aya_ebpf::bindings::{BPF_NOEXIST, BPF_RB_NO_WAKEUP};
use core::hint::cold_path;
use leaktrace_common::{
    PassSettings, SocketRecord, UNKNOWN_CALLSITE, emit,
    opened::{LOCKED, VACANT},
    record_flags, setup_flags,
};

/// How often a hook checks a locked record before it tries to insert one. Each check is a lookup. The program with the lock makes a few
/// stores meanwhile, or removes the entry.
const ATTEMPTS: u32 = 16;

/// How often a hook does both.
const ROUNDS: u32 = 2;

/// `-EEXIST`, the result of inserting an existing key.
const EXISTS: i32 = -17;

/// The record of an open socket.
#[inline(always)]
pub fn of<'a>(sk: u64) -> Option<&'a mut SocketRecord> {
    at(sk).filter(|record| opened_ns(record) > LOCKED)
}

/// The record at an address, which may be vacant.
#[inline(always)]
pub fn at<'a>(sk: u64) -> Option<&'a mut SocketRecord> {
    // SAFETY: the pointer is a live map value.
    SOCKETS.get_ptr_mut(sk).map(|record| unsafe { &mut *record })
}

/// Whether a record is vacant or locked, so that it is of no open socket.
#[inline(always)]
pub fn is_vacant(record: &SocketRecord) -> bool {
    opened_ns(record) <= LOCKED
}

#[inline(always)]
fn opened_ns(record: &SocketRecord) -> u64 {
    // SAFETY: a field of a live map value. Volatile, because hooks on other processors write it.
    unsafe { (&raw const record.opened_ns).read_volatile() }
}

/// What is needed to count the end of a socket.
pub struct Opening {
    /// [`SocketRecord::opened_ns`]
    pub opened_ns: u64,
    /// [`SocketRecord::callsite`]
    pub callsite: u32,
    /// [`SocketRecord::flags`]
    pub flags: u8,
}

impl Opening {
    /// The opening of the socket that a record is of, if it is of an open one.
    #[inline(always)]
    pub fn of(record: &SocketRecord) -> Option<Self> {
        let opening = Self { opened_ns: opened_ns(record), callsite: record.callsite, flags: record.flags };
        (opening.opened_ns > LOCKED).then_some(opening)
    }
}

/// Result of [`enter`].
pub enum Entry {
    /// The socket has a record.
    Made,
    /// The socket has a record, which was that of an earlier socket at its address whose end no hook has seen.
    Replaced(Opening),
    /// The socket has no record: the table is full.
    Refused,
}

/// Makes the record of a socket that was just opened.
#[inline(always)]
pub fn enter(sk: u64, record: &SocketRecord) -> Entry {
    if let Some(place) = at(sk)
        && lock(place, VACANT)
    {
        fill(place, record);
        return Entry::Made;
    }
    cold_path();
    let mut round = 0;
    while round < ROUNDS {
        round += 1;
        let mut attempt = 0;
        while attempt < ATTEMPTS {
            match replace(sk, record) {
                Attempt::Done(entry) => return entry,
                Attempt::NoRecord => break,
                Attempt::Again => {}
            }
            end_of_round!(attempt);
            attempt += 1;
        }
        match insert(sk, record) {
            Ok(()) => return Entry::Made,
            Err(EXISTS) => {}
            Err(_) => return Entry::Refused,
        }
    }
    Entry::Refused
}

/// Result of [`replace`].
enum Attempt {
    /// The record belongs to the new socket.
    Done(Entry),
    /// The record was locked or has just changed.
    Again,
    /// No record is at this address.
    NoRecord,
}

/// Tries once to take over the record of an earlier socket at the same address.
#[inline(always)]
fn replace(sk: u64, record: &SocketRecord) -> Attempt {
    let Some(place) = at(sk) else { return Attempt::NoRecord };
    let seen = opened_ns(place);
    if seen == LOCKED || !lock(place, seen) {
        return Attempt::Again;
    }
    // The old fields stay readable until the record is filled: it is locked by this program.
    let earlier = Opening { opened_ns: seen, callsite: place.callsite, flags: place.flags };
    fill(place, record);
    Attempt::Done(if seen == VACANT { Entry::Made } else { Entry::Replaced(earlier) })
}

/// Result of [`adopt`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// The pass has made the record.
    Made,
    /// A hook made the record first, or is making it.
    Beaten,
    /// The table is full.
    Refused,
}

/// Makes a record for a socket that a pass found without one.
#[inline(always)]
pub fn adopt(sk: u64, record: &SocketRecord) -> Adoption {
    let Some(place) = at(sk) else {
        return match insert(sk, record) {
            Ok(()) => Adoption::Made,
            Err(EXISTS) => Adoption::Beaten,
            Err(_) => Adoption::Refused,
        };
    };
    if !lock(place, VACANT) {
        return Adoption::Beaten;
    }
    fill(place, record);
    Adoption::Made
}

/// Marks a record vacant because its socket is closed. Returns whether the caller must count the end: false if another program was
/// faster.
#[inline(always)]
pub fn vacate(record: &mut SocketRecord, opening: &Opening) -> bool {
    record.seen_pass = 0;
    change(record, opening.opened_ns, VACANT)
}

/// Gives the record of an adopted socket without a call site the call site of its holder, and flags. Returns whether it was done.
///
/// Locks the record while it changes, so that nothing counts the socket's end at one call site while it moves to the other. Unlocking
/// adds 1 ns to `opened_ns`, so a change by another program that started earlier fails (ABA guard). An end missed that way is left to
/// the sweep.
#[inline(always)]
pub fn set_callsite(record: &mut SocketRecord, callsite: u32, flags: u8) -> bool {
    let seen = opened_ns(record);
    // Without an atomic exchange the lock protects nothing.
    let has_lock = enabled(setup_flags::EXCHANGE);
    if seen <= LOCKED || (has_lock && !lock(record, seen)) {
        return false;
    }
    let is_unknown = record.callsite == UNKNOWN_CALLSITE && record.flags & record_flags::ADOPTED != 0;
    if is_unknown {
        let flags = record.flags | flags;
        // SAFETY: a field of a live map value. Volatile, so that it is written before the record is unlocked.
        unsafe { (&raw mut record.callsite).write_volatile(callsite) };
        // SAFETY: a field of a live map value. Volatile, so that it is written before the record is unlocked.
        unsafe { (&raw mut record.flags).write_volatile(flags) };
    }
    if has_lock {
        set(record, seen + u64::from(is_unknown));
    }
    is_unknown
}

/// Removes a record that no pass has seen for some time. Returns what is needed to count the end, unless a hook was faster.
#[inline(always)]
pub fn remove(sk: u64, record: &mut SocketRecord) -> Option<Opening> {
    let opening = Opening::of(record)?;
    if !lock(record, opening.opened_ns) {
        return None;
    }
    remove_locked(sk, record);
    Some(opening)
}

/// Removes a vacant record that the pass before also found vacant; if the table is full, any vacant record.
#[inline(always)]
pub fn remove_vacant(sk: u64, vacant: &mut SocketRecord, settings: &PassSettings) {
    if vacant.seen_pass == 0 && settings.emit & emit::TABLE_FULL == 0 {
        vacant.seen_pass = settings.pass;
    } else if vacant.seen_pass != settings.pass && lock(vacant, VACANT) {
        remove_locked(sk, vacant);
    }
}

#[inline(always)]
fn remove_locked(sk: u64, record: &mut SocketRecord) {
    // The kernel may refuse while its own lock is contended.
    if SOCKETS.remove(sk).is_err() {
        set(record, VACANT);
    }
}

/// Inserts a record, and reports its key to user space.
#[inline(always)]
fn insert(sk: u64, record: &SocketRecord) -> Result<(), i32> {
    SOCKETS.insert(sk, record, u64::from(BPF_NOEXIST))?;
    // Only passes by list need it.
    if enabled(setup_flags::RDONLY_CAST)
        && let Some(missed) = KEYS_MISSED.get_ptr_mut(0)
        // After the insertion, because user space sets this to 0 before it reads the table. Once a key is lost, no more are reported.
        // SAFETY: the pointer is a live map value.
        && unsafe { missed.read_volatile() } == 0
        && NEW_KEYS.output::<u64>(sk, u64::from(BPF_RB_NO_WAKEUP)).is_err()
    {
        // SAFETY: the pointer is a live map value.
        unsafe { missed.write_volatile(1) };
    }
    Ok(())
}

/// Writes a record over a locked one, which unlocks it.
#[inline(always)]
fn fill(place: &mut SocketRecord, record: &SocketRecord) {
    const WORDS: usize = size_of::<SocketRecord>() / 8;
    const { assert!(core::mem::offset_of!(SocketRecord, opened_ns) == 0) };
    let to: *mut u64 = (&raw mut *place).cast();
    let from: *const u64 = (&raw const *record).cast();
    let mut word = WORDS;
    // From the last word to the first, which unlocks it. Volatile, to keep this order.
    while word > 0 {
        word -= 1;
        // SAFETY: both are that many words.
        let value = unsafe { from.add(word).read() };
        // SAFETY: both are that many words.
        unsafe { to.add(word).write_volatile(value) };
    }
}

/// Locks a record if it still has the `opened_ns` that the caller has seen.
#[inline(always)]
fn lock(record: &mut SocketRecord, seen: u64) -> bool {
    change(record, seen, LOCKED)
}

#[inline(always)]
fn change(record: &mut SocketRecord, seen: u64, to: u64) -> bool {
    let is_changed = exchange(&raw mut record.opened_ns, seen, to) == seen;
    if is_changed && !enabled(setup_flags::EXCHANGE) {
        set(record, to);
    }
    is_changed
}

#[inline(always)]
fn set(record: &mut SocketRecord, to: u64) {
    // SAFETY: a field of a live map value.
    unsafe { (&raw mut record.opened_ns).write_volatile(to) };
}
