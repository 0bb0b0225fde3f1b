//! The hooks: three ways to hear the same facts, one file a way, and what they have in common.

mod destroy;
mod fentry;
mod kprobe;
mod tracepoint;
mod tree;

use crate::{
    constants::{offset, setup},
    kernel::{AF_INET, AF_INET6, Address, Fields, Structure},
};
use leaktrace_common::Offsets;

const IPPROTO_TCP: u16 = 6;
const IPPROTO_MPTCP: u16 = 262;

/// Whether a `struct sock` is a TCP socket.
#[inline(always)]
pub fn is_tcp(sk: impl Fields) -> bool {
    protocol(sk) == IPPROTO_TCP
}

/// The TCP socket behind the `struct sock` that an application has: itself, or the first subflow of an MPTCP socket.
#[inline(always)]
pub fn tcp_behind(sk: u64) -> Option<u64> {
    if sk == 0 {
        return None;
    }
    match protocol(Structure::at(sk, setup!(tcp_sock_type))) {
        IPPROTO_TCP => Some(sk),
        IPPROTO_MPTCP if offset!(mptcp_first) != Offsets::ABSENT as usize => {
            let first: u64 = Address(sk).read(offset!(mptcp_first));
            (first != 0).then_some(first)
        }
        _ => None,
    }
}

/// Protocol number of an internet socket, 0 of any other.
#[inline(always)]
fn protocol(sk: impl Fields) -> u16 {
    let family: u16 = sk.read(offset!(skc_family));
    if family != AF_INET && family != AF_INET6 {
        return 0;
    }
    sk.read(offset!(sk_protocol))
}
