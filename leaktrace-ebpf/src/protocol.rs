//! Which sockets are TCP sockets.

use crate::{
    abi::{AF_INET, AF_INET6, IPPROTO_MPTCP, IPPROTO_TCP},
    constants::{has_field, offset, setup},
    fields::{Address, Fields, Structure},
};

/// Whether a `struct sock` is a TCP socket.
#[inline(always)]
pub fn is_tcp(sk: impl Fields) -> bool {
    protocol(sk) == IPPROTO_TCP
}

/// The TCP socket behind the `struct sock` that an application holds: the socket itself, or the first subflow of an MPTCP socket.
#[inline(always)]
pub fn tcp_behind(sk: u64) -> Option<u64> {
    if sk == 0 {
        return None;
    }
    match protocol(Structure::at(sk, setup!(tcp_sock_type))) {
        IPPROTO_TCP => Some(sk),
        IPPROTO_MPTCP if has_field!(mptcp_first) => {
            let first: u64 = Address(sk).read(offset!(mptcp_first));
            (first != 0).then_some(first)
        }
        _ => None,
    }
}

/// Protocol number of an internet socket; 0 for any other socket.
#[inline(always)]
fn protocol(sk: impl Fields) -> u16 {
    let family: u16 = sk.read(offset!(skc_family));
    if family != AF_INET && family != AF_INET6 {
        return 0;
    }
    sk.read(offset!(sk_protocol))
}
