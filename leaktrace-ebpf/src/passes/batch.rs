//! Sockets whose turn has come, put together so that the processor waits for the memory of all of them at once: what a pass takes
//! is mostly cache misses, and an iterator shows one socket at a time.

use crate::{
    constants::{offset, setup},
    kernel::{Fields, rdonly_cast},
};
use leaktrace_common::opaque;

/// Sockets in a batch, a power of two.
pub const SOCKETS: usize = 8;

/// Some sockets. Only where [`rdonly_cast`] can be called: a probe read waits for its own memory.
///
/// The length is kept where the verifier does not follow it: each would be a way of its own through what is done with them.
#[repr(C)]
pub struct Batch {
    len: u64,
    sockets: [u64; SOCKETS],
}

impl Batch {
    /// Forgets all.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.set_len(0);
    }

    /// Adds a socket, to an empty batch if this one is full; whether it is full then.
    #[inline(always)]
    pub fn add(&mut self, sk: u64) -> bool {
        let len = self.len();
        let place = if len >= SOCKETS as u64 { 0 } else { len };
        self.sockets[opaque(place) as usize & (SOCKETS - 1)] = sk;
        self.set_len(place + 1);
        place + 1 == SOCKETS as u64
    }

    /// The socket at a place, if one is there.
    #[inline(always)]
    pub fn get(&self, place: usize) -> Option<u64> {
        (self.len() > place as u64).then(|| self.sockets[place & (SOCKETS - 1)])
    }

    /// Whether there are sockets that [`Self::add`] has not told of.
    #[inline(always)]
    pub fn is_partly_full(&self) -> bool {
        self.len() != SOCKETS as u64
    }

    /// Reads from each socket a word of each stretch that will be needed; nothing is done with them, so none waits for another.
    #[inline(always)]
    pub fn fetch(&self) {
        for sk in self.sockets {
            let sk = rdonly_cast(sk, setup!(tcp_sock_type));
            let _: u64 = sk.read(offset!(skc_cookie));
            let _: u32 = sk.read(offset!(sk_rmem_alloc));
            let _: u64 = sk.read(offset!(sk_socket));
            let _: u32 = sk.read(offset!(sk_wmem_queued));
            let _: u32 = sk.read(offset!(copied_seq));
            let _: u32 = sk.read(offset!(write_seq));
            let _: u32 = sk.read(offset!(rcv_nxt));
        }
    }

    #[inline(always)]
    fn len(&self) -> u64 {
        // SAFETY: a field of a live map value.
        unsafe { (&raw const self.len).read_volatile() }
    }

    #[inline(always)]
    fn set_len(&mut self, len: u64) {
        // SAFETY: as above.
        unsafe { (&raw mut self.len).write_volatile(len) };
    }
}
