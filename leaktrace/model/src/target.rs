//! A socket that is to be closed.

use std::net::SocketAddr;

/// A socket to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its identity within a boot.
    pub cookie: u64,
    /// Inode of its network namespace; `None` for the own one.
    pub netns: Option<u64>,
    /// Own address and port; a mapped address may be given as IPv4.
    pub local: SocketAddr,
    /// The peer's address and port.
    pub remote: SocketAddr,
}
