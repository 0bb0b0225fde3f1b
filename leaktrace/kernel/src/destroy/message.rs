//! The messages of sock_diag(7): encoding and decoding, no system calls.
//!
//! Layouts: `include/uapi/linux/{netlink,inet_diag}.h`. Answers are not trusted: messages that are cut or inconsistent are skipped.

use leaktrace_model::SocketId;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Asks for sockets (`SOCK_DIAG_BY_FAMILY`).
const BY_FAMILY: u16 = 20;
/// Asks to close one (`SOCK_DESTROY`).
const DESTROY: u16 = 21;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NLM_F_REQUEST`, `NLM_F_ACK`, `NLM_F_DUMP`
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Where the socket's identity begins in `struct inet_diag_msg`.
const ID_IN_ANSWER: usize = 4;
/// `INET_DIAG_NOCOOKIE`: matches any socket with the addresses.
const NO_COOKIE: u64 = u64::MAX;

/// A family of addresses, as the kernel numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Family {
    /// AF_INET
    V4 = 2,
    /// AF_INET6, which includes mapped addresses.
    V6 = 10,
}

/// What identifies a socket to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DiagId {
    /// Family of the lookup.
    pub family: Family,
    /// Own port.
    pub local_port: u16,
    /// The peer's port.
    pub remote_port: u16,
    /// Own address in network order; an IPv4 address has the first four bytes.
    pub local: [u8; 16],
    /// The peer's.
    pub remote: [u8; 16],
    /// Interface it is bound to; 0 for none.
    pub interface: u32,
    /// Its cookie. Requests never contain [`NO_COOKIE`].
    pub cookie: u64,
}

impl DiagId {
    /// The identity of a target; `None` if it could match more than one socket.
    pub(super) fn new(target: &SocketId) -> Option<Self> {
        if target.cookie.get() == NO_COOKIE {
            return None;
        }
        let (family, local, remote) = match (target.local.ip().to_canonical(), target.remote.ip().to_canonical()) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => (Family::V4, wide(local), wide(remote)),
            (IpAddr::V6(local), IpAddr::V6(remote)) => (Family::V6, local.octets(), remote.octets()),
            _ => return None,
        };
        let (local_port, remote_port) = (target.local.port(), target.remote.port());
        Some(Self { family, local_port, remote_port, local, remote, interface: 0, cookie: target.cookie.get() })
    }

    /// Both ends; a mapped address reads as IPv4.
    pub(super) fn ends(&self) -> (SocketAddr, SocketAddr) {
        let end = |bytes: [u8; 16], port| {
            let ip = match self.family {
                Family::V4 => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
                Family::V6 => IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical(),
            };
            SocketAddr::new(ip, port)
        };
        (end(self.local, self.local_port), end(self.remote, self.remote_port))
    }

    /// From the bytes of a `struct inet_diag_msg`.
    fn read(bytes: &[u8]) -> Option<Self> {
        let family = match bytes.first()? {
            2 => Family::V4,
            10 => Family::V6,
            _ => return None,
        };
        let id = bytes.get(ID_IN_ANSWER..)?;
        Some(Self {
            family,
            local_port: u16::from_be_bytes(take(id, 0)?),
            remote_port: u16::from_be_bytes(take(id, 2)?),
            local: take(id, 4)?,
            remote: take(id, 20)?,
            interface: u32::from_ne_bytes(take(id, 36)?),
            // Two words, the lower one first on either byte order.
            cookie: u64::from(u32::from_ne_bytes(take(id, 40)?)) | u64::from(u32::from_ne_bytes(take(id, 44)?)) << 32,
        })
    }

    fn write(&self, message: &mut Vec<u8>) {
        message.extend(self.local_port.to_be_bytes());
        message.extend(self.remote_port.to_be_bytes());
        message.extend(self.local);
        message.extend(self.remote);
        message.extend(self.interface.to_ne_bytes());
        message.extend(((self.cookie & 0xffff_ffff) as u32).to_ne_bytes());
        message.extend(((self.cookie >> 32) as u32).to_ne_bytes());
    }
}

fn wide(address: Ipv4Addr) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&address.octets());
    bytes
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// The request to close one socket.
pub(super) fn destroy_request(id: &DiagId, sequence: u32) -> Vec<u8> {
    request(DESTROY, REQUEST | ACK, sequence, id.family, |message| id.write(message))
}

/// The request for all sockets of a family.
pub(super) fn list_request(family: Family, sequence: u32) -> Vec<u8> {
    request(BY_FAMILY, REQUEST | DUMP, sequence, family, |message| message.resize(message.len() + 48, 0))
}

fn request(kind: u16, flags: u16, sequence: u32, family: Family, id: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    const LENGTH: u32 = 16 + 8 + 48;
    let mut message = Vec::with_capacity(LENGTH as usize);
    message.extend(LENGTH.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    // The kernel fills in the sender's port.
    message.extend([0; 4]);
    // No extensions, and a byte of padding.
    message.extend([family as u8, libc::IPPROTO_TCP as u8, 0, 0]);
    // Every state.
    message.extend(u32::MAX.to_ne_bytes());
    id(&mut message);
    message
}

/// One message of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A socket of a list.
    Socket(DiagId),
    /// The end: 0, or an error number.
    End(i32),
}

/// The messages of a buffer that answer the request with this number.
pub(super) fn answers(mut rest: &[u8], sequence: u32) -> impl Iterator<Item = Answer> + '_ {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(take(rest, 0)?)).ok()?;
        let kind = u16::from_ne_bytes(take(rest, 4)?);
        let answers = u32::from_ne_bytes(take(rest, 8)?);
        let body = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, answers, body))
    })
    .filter(move |(_, answers, _)| *answers == sequence)
    .filter_map(|(kind, _, body)| match kind {
        BY_FAMILY => DiagId::read(body).map(Answer::Socket),
        NLMSG_ERROR | NLMSG_DONE => {
            let number = take(body, 0).map_or(0, i32::from_ne_bytes);
            Some(Answer::End(number.checked_neg().filter(|number| *number >= 0).unwrap_or(libc::EPROTO)))
        }
        _ => None,
    })
}
