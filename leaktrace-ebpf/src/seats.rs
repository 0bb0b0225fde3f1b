//! Seats: an array beside the hash table of records, in which a socket has the place that its address gives, if that is free.
//!
//! Most connections are short and the kernel uses the memory of closed sockets again, so nearly every open and close finds its
//! record here, by a multiplication and a comparison in place of a search. What finds another socket in its seat goes to the table.
//!
//! Whoever changes the address of a seat has taken its record ([`opened::TAKEN`]) and gives it back with the time of the open.
//! So whoever reads first that time and then the address knows whose time it is, and what it changes of that record by a comparison
//! with that time ([`crate::records`]) is that socket's. User space frees vacant seats between passes, never in one: what a pass
//! has at hand stays that socket's, or vacant.
//!
//! [`opened::TAKEN`]: leaktrace_common::opened::TAKEN

use crate::{constants::enabled, maps::SEATS};
use core::arch::asm;
use leaktrace_common::{SEATS as COUNT, Seat, opaque, setup_flags};

/// The seat for the socket at an address, where there are seats: its own, free, or another socket's.
#[inline(always)]
pub fn of<'a>(sk: u64) -> Option<&'a mut Seat> {
    if !enabled(setup_flags::SEATS) {
        return None;
    }
    // SAFETY: the pointer is a live map value.
    SEATS.get_ptr_mut(place(sk)).map(|seat| unsafe { &mut *seat })
}

/// Whose seat it is; 0 if it is free.
#[inline(always)]
pub fn holder(seat: &Seat) -> u64 {
    // SAFETY: a field of a live map value; volatile, since hooks on other processors write it.
    unsafe { (&raw const seat.sk).read_volatile() }
}

/// Gives a seat to a socket. For whoever has taken its record.
#[inline(always)]
pub fn give(seat: &mut Seat, sk: u64) {
    // SAFETY: as in `holder`.
    unsafe { (&raw mut seat.sk).write_volatile(sk) };
}

/// A hash of the address, by its low half: the verifier lets nobody calculate with a pointer, but its half is a number.
#[inline(always)]
fn place(sk: u64) -> u32 {
    /// 2^32 / golden ratio.
    const MIX: u64 = 0x9E37_79B1;
    /// `w0 = w1`, in bytes because the compiler has that only for later processors than the one it compiles for.
    const HALF: i64 = 0x10BC;
    let half: u64;
    // SAFETY: it moves half a register to another and clears the rest of that.
    unsafe {
        asm!(
            ".quad {}",
            const HALF,
            in("r1") sk,
            lateout("r0") half,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    // The upper bits of the product depend on all bits of the address.
    (opaque(half.wrapping_mul(MIX) >> (u32::BITS - COUNT.trailing_zeros())) as u32) & (COUNT - 1)
}
