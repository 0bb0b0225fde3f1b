//! The table of records, one for each open socket.
//!
//! A record stays where it is when its socket is closed, vacant: the kernel gives the memory of a closed socket to the next one,
//! so the next open nearly always finds a place at that address and need not make one. Passes take away what nobody has moved
//! into from one to the next ([`tidy`]).
//!
//! Hooks and passes on other processors want the same record at a time: a pass adopts a socket whose accept is just returning, or
//! takes away a record that an open is moving into. So whoever changes what a record is of ([`SocketRecord::opened_ns`]) does it
//! in one step ([`exchange`], 5.12), and of two only one has its way. Before 5.12 there is no such step, and between its
//! look and its change a pass may overwrite an open.

use crate::{
    callsites::UNKNOWN,
    constants::enabled,
    maps::{KEYS_MISSED, NEW_KEYS, SOCKETS, exchange},
};
use aya_ebpf::bindings::{BPF_NOEXIST, BPF_RB_NO_WAKEUP};
use core::{arch::asm, hint::cold_path};
use leaktrace_common::{
    PassSettings, SocketRecord, emit,
    opened::{TAKEN, VACANT},
    record_flags, setup_flags,
};

/// How often a hook asks for a record that a pass has taken before it tries to make one: each time is a look-up, and what a pass does
/// meanwhile a few stores, or the removal of an entry.
const ATTEMPTS: u32 = 16;

/// How often it does both.
const ROUNDS: u32 = 2;

/// `-EEXIST`, of an insertion.
const EXISTS: i32 = -17;

/// The record of an open socket.
#[inline(always)]
pub fn of<'a>(sk: u64) -> Option<&'a mut SocketRecord> {
    at(sk).filter(|record| opened_ns(record) > TAKEN)
}

/// The record at an address, which may be vacant.
#[inline(always)]
pub fn at<'a>(sk: u64) -> Option<&'a mut SocketRecord> {
    // SAFETY: the pointer is a live map value.
    SOCKETS.get_ptr_mut(sk).map(|record| unsafe { &mut *record })
}

/// Whether the socket of a record is closed, and no other has come.
#[inline(always)]
pub fn is_vacant(record: &SocketRecord) -> bool {
    opened_ns(record) <= TAKEN
}

#[inline(always)]
fn opened_ns(record: &SocketRecord) -> u64 {
    // SAFETY: a field of a live map value; volatile, since hooks on other processors write it.
    unsafe { (&raw const record.opened_ns).read_volatile() }
}

/// What is counted when a socket ends.
pub struct Life {
    /// [`SocketRecord::opened_ns`]
    pub opened_ns: u64,
    /// [`SocketRecord::callsite`]
    pub callsite: u32,
    /// [`SocketRecord::flags`]
    pub flags: u8,
}

impl Life {
    /// Of the socket that a record is of, if it is of one.
    #[inline(always)]
    pub fn of(record: &SocketRecord) -> Option<Self> {
        let life = Self { opened_ns: opened_ns(record), callsite: record.callsite, flags: record.flags };
        (life.opened_ns > TAKEN).then_some(life)
    }
}

/// What became of a socket's wish for a record.
pub enum Entry {
    /// It has one.
    Made,
    /// It has the one of an earlier socket at its address, whose end nobody has heard.
    Over(Life),
    /// It has none: there is no room.
    Refused,
}

/// Makes the record of a socket that has just been opened.
#[inline(always)]
pub fn enter(sk: u64, record: &SocketRecord) -> Entry {
    if let Some(place) = at(sk)
        && take(place, VACANT)
    {
        move_in(place, record);
        return Entry::Made;
    }
    cold_path();
    let mut round = 0;
    while round < ROUNDS {
        round += 1;
        let mut attempt = 0;
        while attempt < ATTEMPTS {
            match follow(sk, record) {
                Attempt::Done(entry) => return entry,
                Attempt::Nobody => break,
                Attempt::Again => {}
            }
            // The end of the round stays here, see `stack`.
            // SAFETY: it moves a register to itself.
            unsafe { asm!("{0} = {0}", inout(reg) attempt, options(nostack)) };
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

/// What became of one attempt to move in where another socket is, or was.
enum Attempt {
    /// This.
    Done(Entry),
    /// Nothing yet: somebody else is changing it.
    Again,
    /// Nobody is there.
    Nobody,
}

#[inline(always)]
fn follow(sk: u64, record: &SocketRecord) -> Attempt {
    let Some(place) = at(sk) else { return Attempt::Nobody };
    let seen = opened_ns(place);
    if seen == TAKEN || !take(place, seen) {
        return Attempt::Again;
    }
    // What it was of stays readable until the new one moves in: it is ours.
    let earlier = Life { opened_ns: seen, callsite: place.callsite, flags: place.flags };
    move_in(place, record);
    Attempt::Done(if seen == VACANT { Entry::Made } else { Entry::Over(earlier) })
}

/// What became of a pass's wish to make the record of a socket that it found without one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// It has done so.
    Made,
    /// A hook was faster, or is about to be.
    Beaten,
    /// There is no room.
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
    if !take(place, VACANT) {
        return Adoption::Beaten;
    }
    move_in(place, record);
    Adoption::Made
}

/// The socket of a record is closed; whether that is for the caller to count, and nobody else was faster.
#[inline(always)]
pub fn vacate(record: &mut SocketRecord, life: &Life) -> bool {
    record.seen_pass = 0;
    change(record, life.opened_ns, VACANT)
}

/// Gives the record of an adopted socket that has no call site yet the one of its holder, and flags; whether it could still be
/// done. What hears the end of the socket or another open meanwhile must not count it at one call site while it moves to the
/// other: the record is taken for that time, and is a nanosecond younger after it, so that whoever has looked before and changes it
/// after has looked in vain. An end that is missed so is for the sweep.
#[inline(always)]
pub fn settle(record: &mut SocketRecord, callsite: u32, flags: u8) -> bool {
    let seen = opened_ns(record);
    // Without the one step, others would be no safer for it.
    let is_shared = enabled(setup_flags::EXCHANGE);
    if seen <= TAKEN || (is_shared && !take(record, seen)) {
        return false;
    }
    let is_unsettled = record.callsite == UNKNOWN && record.flags & record_flags::ADOPTED != 0;
    if is_unsettled {
        let flags = record.flags | flags;
        // SAFETY: a field of a live map value, here and below; volatile, so that both are there before the record is given back.
        unsafe { (&raw mut record.callsite).write_volatile(callsite) };
        // SAFETY: as above.
        unsafe { (&raw mut record.flags).write_volatile(flags) };
    }
    if is_shared {
        set(record, seen + u64::from(is_unsettled));
    }
    is_unsettled
}

/// Takes away a record that no pass has seen for long: what is to be counted, unless a hook was faster.
#[inline(always)]
pub fn remove(sk: u64, record: &mut SocketRecord) -> Option<Life> {
    let life = Life::of(record)?;
    if !take(record, life.opened_ns) {
        return None;
    }
    drop_taken(sk, record);
    Some(life)
}

/// Takes away a vacant record that the last pass to come by has seen vacant too, or any where the table is full.
#[inline(always)]
pub fn tidy(sk: u64, vacant: &mut SocketRecord, settings: &PassSettings) {
    if vacant.seen_pass == 0 && settings.emit & emit::TABLE_FULL == 0 {
        vacant.seen_pass = settings.pass;
    } else if vacant.seen_pass != settings.pass && take(vacant, VACANT) {
        drop_taken(sk, vacant);
    }
}

#[inline(always)]
fn drop_taken(sk: u64, record: &mut SocketRecord) {
    // The kernel may refuse while its own lock is contended.
    if SOCKETS.remove(sk).is_err() {
        set(record, VACANT);
    }
}

/// Puts a record where there is none, and tells user space of it.
#[inline(always)]
fn insert(sk: u64, record: &SocketRecord) -> Result<(), i32> {
    SOCKETS.insert(sk, record, u64::from(BPF_NOEXIST))?;
    // Passes by list need it.
    if enabled(setup_flags::RDONLY_CAST)
        && let Some(missed) = KEYS_MISSED.get_ptr_mut(0)
        // After the insertion: whoever asks the table for its keys says so before. And without it, a full buffer would be tried in vain.
        // SAFETY: the pointer is a live map value, here and below.
        && unsafe { missed.read_volatile() } == 0
        && NEW_KEYS.output::<u64>(sk, u64::from(BPF_RB_NO_WAKEUP)).is_err()
    {
        // SAFETY: as above.
        unsafe { missed.write_volatile(1) };
    }
    Ok(())
}

/// Another socket gets a record that is taken.
#[inline(always)]
fn move_in(place: &mut SocketRecord, record: &SocketRecord) {
    const WORDS: usize = size_of::<SocketRecord>() / 8;
    const { assert!(core::mem::offset_of!(SocketRecord, opened_ns) == 0) };
    let to: *mut u64 = (&raw mut *place).cast();
    let from: *const u64 = (&raw const *record).cast();
    let mut word = WORDS;
    // Down to the first, which tells others of it. Volatile, in this order.
    while word > 0 {
        word -= 1;
        // SAFETY: both are that many words.
        let value = unsafe { from.add(word).read() };
        // SAFETY: as above.
        unsafe { to.add(word).write_volatile(value) };
    }
}

/// Takes a record that is what the caller has seen: vacant, or of the socket opened then.
#[inline(always)]
fn take(record: &mut SocketRecord, seen: u64) -> bool {
    change(record, seen, TAKEN)
}

#[inline(always)]
fn change(record: &mut SocketRecord, seen: u64, to: u64) -> bool {
    let is_ours = exchange(&raw mut record.opened_ns, seen, to) == seen;
    if is_ours && !enabled(setup_flags::EXCHANGE) {
        set(record, to);
    }
    is_ours
}

#[inline(always)]
fn set(record: &mut SocketRecord, to: u64) {
    // SAFETY: a field of a live map value.
    unsafe { (&raw mut record.opened_ns).write_volatile(to) };
}
