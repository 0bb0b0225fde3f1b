//! Address families: IPv6, IPv4-mapped IPv6, and the names that a report must give them.

use super::net::{answer, greet, guard, listen, listener_on, loopback, port_of, tcp_socket};
use super::peer::server;
use super::stage::{Opened, Stage};
use crate::truth::Expect;
use anyhow::{Context, Result};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

/// IPv6 at both ends.
///
/// # Errors
/// When there is no IPv6; so for every program.
pub fn ipv6(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_ipv6(address: SocketAddr) -> Result<TcpStream> {
        let stream = TcpStream::connect(address).context("cannot connect")?;
        Ok(stream)
    }
    let listener = ipv6_listener(Ipv6Addr::LOCALHOST)?;
    let port = port_of(&listener)?;
    idle_pair(stage, listener, "leak_ipv6", "ipv6", move || leak_ipv6((Ipv6Addr::LOCALHOST, port).into()))
}

/// An IPv6 socket that connects to an IPv4 address, and an IPv6 listener that takes it: both are IPv4 in a report.
///
/// # Errors
/// See [`ipv6`].
pub fn mapped(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_mapped(port: u16) -> Result<TcpStream> {
        let address: SocketAddr = (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port).into();
        let socket = tcp_socket(address)?;
        socket.connect(&address.into()).context("cannot connect")?;
        Ok(socket.into())
    }
    let listener = ipv6_listener(Ipv6Addr::UNSPECIFIED)?;
    let port = port_of(&listener)?;
    idle_pair(stage, listener, "leak_mapped", "ipv4", move || leak_mapped(port))
}

/// Plain IPv4 at the client, a mapped address at the server, as with a server that listens on `[::]`.
///
/// # Errors
/// See [`ipv6`].
pub fn dual_stack_server(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_plain_to_dual(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let listener = ipv6_listener(Ipv6Addr::UNSPECIFIED)?;
    let port = port_of(&listener)?;
    idle_pair(stage, listener, "leak_plain_to_dual", "ipv4", move || leak_plain_to_dual(port))
}

/// A client bound to an address and port of its own before it connects.
///
/// # Errors
/// See [`ipv6`].
pub fn bound_client(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_bound(port: u16) -> Result<TcpStream> {
        let socket = tcp_socket(loopback(0))?;
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, 9), 0)).into()).context("cannot bind")?;
        socket.connect(&loopback(port).into()).context("cannot connect")?;
        Ok(socket.into())
    }
    let listener = listen(tcp_socket(loopback(0))?, loopback(0), 16)?;
    let port = port_of(&listener)?;
    idle_pair(stage, listener, "leak_bound", "ipv4", move || leak_bound(port))
}

fn ipv6_listener(address: Ipv6Addr) -> Result<TcpListener> {
    listener_on((address, 0).into(), 16).map_err(|error| match error.downcast_ref::<std::io::Error>() {
        Some(cause) if matches!(cause.raw_os_error(), Some(nix::libc::EAFNOSUPPORT | nix::libc::EADDRNOTAVAIL)) => {
            super::refusal::cannot_run_here("no IPv6 on loopback")
        }
        _ => error,
    })
}

/// Four connections that are greeted and left idle, unguarded at the client's end.
fn idle_pair(
    stage: &mut Stage,
    listener: TcpListener,
    function: &str,
    family: &str,
    open: impl Fn() -> Result<TcpStream>,
) -> Result<()> {
    let port = port_of(&listener)?;
    let mut peer = server(listener, 4, |mut stream| {
        guard(&stream)?;
        answer(&mut stream)?;
        Ok(Some(stream))
    })?;
    let mut opened = Opened::many(4, open)?;
    opened.streams.iter_mut().try_for_each(greet)?;
    peer.wait()?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function(function).family(family);
    stage.expect(opened.describe(leaker).verdicts(&["idle-unguarded"]));
    let accepted = Expect::accepted("peer", peer.pid(), port).function("accept_connection").family(family);
    let accepted = opened.describe(accepted).mirrored();
    stage.expect(accepted);
    stage.hold()
}
