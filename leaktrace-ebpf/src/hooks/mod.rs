//! The hooks: three ways to hear the same facts, one file a way, and what they have in common.

mod destroy;
mod fentry;
mod kprobe;
mod tracepoint;

use crate::kernel::Fields;
use crate::maps::offset;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const IPPROTO_TCP: u16 = 6;

/// Whether a `struct sock` is a TCP socket.
#[inline(always)]
pub fn is_tcp(sk: impl Fields) -> bool {
    let family: u16 = sk.read(offset!(skc_family));
    // An 8-bit field until 5.6, 16 bits since; TCP's number fits either.
    let protocol: u16 = sk.read(offset!(sk_protocol));
    (family == AF_INET || family == AF_INET6) && protocol == IPPROTO_TCP
}
