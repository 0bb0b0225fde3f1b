//! Addresses as reports print them.

use leaktrace_common::SocketRow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const AF_INET6: u16 = 10;

fn ip(family: u16, bytes: [u8; 16]) -> IpAddr {
    if family == AF_INET6 {
        // A mapped address is an IPv4 connection on an IPv6 socket, and reads as what it is.
        return IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical();
    }
    let [a, b, c, d, ..] = bytes;
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// The peer's address.
pub fn remote_ip(row: &SocketRow) -> IpAddr {
    ip(row.family, row.remote)
}

/// The peer's address and port.
pub fn remote(row: &SocketRow) -> SocketAddr {
    SocketAddr::new(remote_ip(row), row.remote_port)
}

/// The own address and port.
pub fn local(row: &SocketRow) -> SocketAddr {
    SocketAddr::new(ip(row.family, row.local), row.local_port)
}

#[cfg(test)]
mod tests {
    use crate::address::*;

    #[test]
    fn a_mapped_address_reads_as_ipv4() {
        let mut row = SocketRow { family: AF_INET6, remote_port: 443, ..SocketRow::default() };
        row.remote = "::ffff:10.0.0.1".parse::<Ipv6Addr>().map(|ip| ip.octets()).unwrap_or_default();
        assert_eq!(remote(&row).to_string(), "10.0.0.1:443");
        row.remote = "2001:db8::1".parse::<Ipv6Addr>().map(|ip| ip.octets()).unwrap_or_default();
        assert_eq!(remote(&row).to_string(), "[2001:db8::1]:443");
    }
}
