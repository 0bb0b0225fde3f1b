//! A socket destroyed by an administrator (`ss -K`): TCP is finished, the descriptor is still there.

use super::net::{greet, listener, loopback, port_of};
use super::peer::guarded_answerer;
use super::refusal::cannot_run_here;
use super::stage::{Opened, Stage};
use crate::truth::Expect;
use anyhow::{Context, Result};
use nix::libc;
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;

/// Length of a netlink header.
const HEADER: usize = 16;
/// `struct inet_diag_req_v2` of <linux/inet_diag.h>.
const REQUEST: usize = 56;
/// `SOCK_DESTROY` of <linux/sock_diag.h>.
const SOCK_DESTROY: u16 = 21;

/// Destroyed while idle.
///
/// # Errors
/// When the kernel cannot destroy sockets.
pub fn dead_held_destroyed(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_destroyed(port: u16) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        greet(&mut stream)?;
        Ok(stream)
    }
    let listener = listener()?;
    let port = port_of(&listener)?;
    let peer = guarded_answerer(listener, 3)?;
    let opened = Opened::many(3, || leak_destroyed(port))?;
    for stream in &opened.streams {
        destroy(stream.local_addr()?, stream.peer_addr()?)?;
    }
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_destroyed").state("CLOSED");
    stage.expect(opened.describe(leaker).verdicts(&["dead-held"]));
    stage.hold()?;
    drop(peer);
    Ok(())
}

/// Asks the kernel to abort one IPv4 connection.
fn destroy(local: SocketAddr, remote: SocketAddr) -> Result<()> {
    let (SocketAddr::V4(local), SocketAddr::V4(remote)) = (local, remote) else {
        anyhow::bail!("only IPv4 here");
    };
    let kind = SockType::Datagram;
    let diag = socket(AddressFamily::Netlink, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)
        .map_err(|error| cannot_run_here(format!("no socket diagnosis: {error}")))?;
    let kernel = NetlinkAddr::new(0, 0);
    sendto(diag.as_raw_fd(), &destroy_request(local, remote), &kernel, MsgFlags::empty())
        .context("cannot ask for the end of a socket")?;
    let mut reply = [0; 256];
    let length = recv(diag.as_raw_fd(), &mut reply, MsgFlags::empty()).context("no answer from socket diagnosis")?;
    let error = reply.get(HEADER..HEADER + 4).filter(|_| length >= HEADER + 4).context("a short answer")?;
    match i32::from_ne_bytes(error.try_into()?) {
        0 => Ok(()),
        code => {
            let code = nix::errno::Errno::from_raw(-code);
            Err(cannot_run_here(format!("this kernel does not destroy sockets: {code}")))
        }
    }
}

fn destroy_request(local: SocketAddrV4, remote: SocketAddrV4) -> Vec<u8> {
    let mut request = Vec::with_capacity(HEADER + REQUEST);
    request.extend(((HEADER + REQUEST) as u32).to_ne_bytes());
    request.extend(SOCK_DESTROY.to_ne_bytes());
    request.extend(((libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16).to_ne_bytes());
    request.extend(1u32.to_ne_bytes());
    request.extend(0u32.to_ne_bytes());
    request.extend([libc::AF_INET as u8, libc::IPPROTO_TCP as u8, 0, 0]);
    // Every state.
    request.extend(u32::MAX.to_ne_bytes());
    request.extend(local.port().to_be_bytes());
    request.extend(remote.port().to_be_bytes());
    request.extend(local.ip().octets());
    request.extend([0; 12]);
    request.extend(remote.ip().octets());
    request.extend([0; 12]);
    request.extend(0u32.to_ne_bytes());
    // No cookie: INET_DIAG_NOCOOKIE twice.
    request.extend([0xff; 8]);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_has_the_kernels_length() {
        let address = SocketAddrV4::new([127, 0, 0, 1].into(), 80);
        assert_eq!(destroy_request(address, address).len(), HEADER + REQUEST);
    }
}
