//! The table of records, one for each open socket.
//!
//! A record stays where it is when its socket is closed, vacant: the kernel gives the memory of a closed socket to the next one,
//! so the next open nearly always finds a place at that address and need not make one. Passes take away what nobody has moved
//! into from one to the next ([`tidy`]).

use crate::maps::SOCKETS;
use aya_ebpf::bindings::BPF_NOEXIST;
use leaktrace_common::{PassSettings, SocketRecord, emit};

/// [`SocketRecord::opened_ns`] of a vacant record.
const VACANT: u64 = 0;

/// The record of an open socket.
#[inline(always)]
pub fn of<'a>(sk: u64) -> Option<&'a mut SocketRecord> {
    at(sk).filter(|record| !is_vacant(record))
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
    // SAFETY: a field of a live map value; volatile, since hooks on other processors write it.
    unsafe { (&raw const record.opened_ns).read_volatile() == VACANT }
}

/// Makes a record at an address that has none, or another in place of what is there; false where the table is full.
#[inline(always)]
pub fn put(sk: u64, record: &SocketRecord) -> bool {
    match at(sk) {
        Some(place) => {
            move_in(place, record);
            true
        }
        None => SOCKETS.insert(sk, record, 0).is_ok(),
    }
}

/// The same for a socket that has no record; false where a hook has just made one, too.
#[inline(always)]
pub fn adopt(sk: u64, record: &SocketRecord) -> bool {
    match at(sk) {
        Some(place) if is_vacant(place) => {
            move_in(place, record);
            true
        }
        Some(_) => false,
        None => SOCKETS.insert(sk, record, u64::from(BPF_NOEXIST)).is_ok(),
    }
}

/// Another socket takes the place of one that is closed, or was never heard to close.
#[inline(always)]
pub fn move_in(place: &mut SocketRecord, record: &SocketRecord) {
    const WORDS: usize = size_of::<SocketRecord>() / 8;
    const { assert!(core::mem::offset_of!(SocketRecord, opened_ns) == 0) };
    let to: *mut u64 = (&raw mut *place).cast();
    let from: *const u64 = (&raw const *record).cast();
    let mut word = WORDS;
    // Down to the first, which ends the vacancy. Volatile, in this order.
    while word > 0 {
        word -= 1;
        // SAFETY: both are that many words.
        let value = unsafe { from.add(word).read() };
        // SAFETY: as above.
        unsafe { to.add(word).write_volatile(value) };
    }
}

/// The socket is closed.
#[inline(always)]
pub fn vacate(record: &mut SocketRecord) {
    record.seen_pass = 0;
    // SAFETY: a field of a live map value.
    unsafe { (&raw mut record.opened_ns).write_volatile(VACANT) };
}

/// Takes away a vacant record that the last pass to come by has seen vacant too, or any where the table is full.
///
/// A hook that moves in at this very moment is not seen, and its socket has no record then until the next walk: a matter of
/// nanoseconds, after an interval in which nobody moved in.
#[inline(always)]
pub fn tidy(sk: u64, vacant: &mut SocketRecord, settings: &PassSettings) {
    if vacant.seen_pass == 0 && settings.emit & emit::TABLE_FULL == 0 {
        vacant.seen_pass = settings.pass;
    } else if vacant.seen_pass != settings.pass {
        let _ = SOCKETS.remove(sk);
    }
}
