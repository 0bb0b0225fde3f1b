//! Reading several sockets together, so that the processor waits for the memory of all of them at once. Most of the time of a pass is
//! cache misses, and an iterator shows one socket at a time.
//!
//! Only where [`rdonly_cast`] can be called: a probe read waits for its own memory.

use crate::{
    constants::{offset, setup},
    fields::{Fields, rdonly_cast},
    map_values::{BATCH_SOCKETS, Batch},
};
use leaktrace_common::opaque;

impl Batch {
    /// Removes all sockets.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.set_len(0);
    }

    /// Adds a socket; a full batch is emptied first. Returns whether the batch is full now.
    #[inline(always)]
    pub fn add(&mut self, sk: u64) -> bool {
        let len = self.len();
        let place = if len >= BATCH_SOCKETS as u64 { 0 } else { len };
        self.sockets[opaque(place) as usize & (BATCH_SOCKETS - 1)] = sk;
        self.set_len(place + 1);
        place + 1 == BATCH_SOCKETS as u64
    }

    /// The socket at an index, if there is one.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<u64> {
        (self.len() > index as u64).then(|| self.sockets[index & (BATCH_SOCKETS - 1)])
    }

    /// Whether the batch is not full, so that its sockets have not been visited.
    #[inline(always)]
    pub fn is_partly_full(&self) -> bool {
        self.len() != BATCH_SOCKETS as u64
    }

    /// Reads a word of each cache line that will be needed of each socket. Nothing depends on the values, so the reads overlap.
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
        // SAFETY: a field of a live map value.
        unsafe { (&raw mut self.len).write_volatile(len) };
    }
}
