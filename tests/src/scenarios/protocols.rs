//! TCP with more to it: MPTCP and TCP Fast Open.

use super::net::{greet, guard, hear, listen, loopback, port_of, say, set_tcp_option, tcp_socket};
use super::netns::enter_new_namespace;
use super::peer::{Peer, accept_connection, guarded_answerer};
use super::refusal::cannot_run_here;
use super::stage::{Opened, Stage};
use crate::truth::{Calls, Expect};
use anyhow::{Context, Result};
use nix::libc;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::net::TcpStream;

/// MPTCP at both ends: the descriptor's socket is not TCP's, but the connection under it is.
///
/// # Errors
/// When the kernel has no MPTCP.
pub fn mptcp(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_mptcp(port: u16) -> Result<TcpStream> {
        let socket = mptcp_socket()?;
        socket.connect(&loopback(port).into()).context("cannot connect")?;
        Ok(socket.into())
    }
    let listener = listen(mptcp_socket()?, loopback(0), 16)?;
    let port = port_of(&listener)?;
    let mut peer = guarded_answerer(listener, 3)?;
    let mut opened = Opened::many(3, || leak_mptcp(port))?;
    opened.streams.iter_mut().try_for_each(greet)?;
    peer.wait()?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_mptcp");
    stage.expect(opened.describe(leaker).verdicts(&["idle-unguarded"]));
    stage.hold()
}

fn mptcp_socket() -> Result<Socket> {
    Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP))
        .map_err(|error| cannot_run_here(format!("no MPTCP in this kernel: {error}")))
}

/// Fast Open: the first connection gets a cookie, the others carry payload in their SYN; the response is never read.
///
/// # Errors
/// When the kernel has no Fast Open.
pub fn fast_open(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_fast_open(port: u16) -> Result<TcpStream> {
        let socket = tcp_socket(loopback(0))?;
        set_tcp_option(&socket, libc::TCP_FASTOPEN_CONNECT, 1)?;
        socket.connect(&loopback(port).into()).context("cannot connect")?;
        let mut stream: TcpStream = socket.into();
        // The SYN leaves here, with this byte in it once there is a cookie.
        say(&mut stream, 1)?;
        Ok(stream)
    }
    let netns = enter_new_namespace()?;
    // Client and server side, for this namespace only.
    std::fs::write("/proc/sys/net/ipv4/tcp_fastopen", "3")
        .map_err(|error| cannot_run_here(format!("cannot switch Fast Open on: {error}")))?;
    let socket = tcp_socket(loopback(0))?;
    set_tcp_option(&socket, libc::TCP_FASTOPEN, 16)?;
    let listener = listen(socket, loopback(0), 16)?;
    let port = port_of(&listener)?;
    let mut peer = Peer::spawn(move |_| {
        let mut kept = Vec::new();
        for _ in 0..4 {
            let mut stream = accept_connection(&listener)?;
            guard(&stream)?;
            hear(&mut stream, 1)?;
            say(&mut stream, 50)?;
            kept.push(stream);
        }
        Ok((listener, kept))
    })?;
    let mut opened = Opened::default();
    for _ in 0..4 {
        opened.one(|| leak_fast_open(port))?;
        let Some(stream) = opened.streams.last() else { continue };
        guard(stream)?;
        // The next one needs the cookie of the first.
        let mut first = [0];
        stream.peek(&mut first).context("no response")?;
    }
    peer.wait()?;
    let mut leaker = Expect::connected("leaker", stage.pid(), port).function("leak_fast_open").netns(netns);
    // The first SYN leaves in connect(2), the others with the first byte.
    leaker.calls = Calls::Several;
    stage.expect(opened.describe(leaker).verdicts(&["never-read"]).rx_queue(50).received_and_read(50, 0));
    let accepted = Expect::accepted("peer", peer.pid(), port).function("accept_connection").netns(netns).count(4);
    stage.expect(accepted.received_and_read(1, 1));
    stage.hold()
}

/// A socket whose last close sends a reset, kept open: SO_LINGER alone changes no verdict.
///
/// # Errors
/// When sockets cannot be made.
pub fn linger_zero(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_with_linger(port: u16) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).context("cannot set SO_LINGER")?;
        greet(&mut stream)?;
        Ok(stream)
    }
    let listener = super::net::listener()?;
    let port = port_of(&listener)?;
    let mut peer = guarded_answerer(listener, 3)?;
    let opened = Opened::many(3, || leak_with_linger(port))?;
    peer.wait()?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_with_linger");
    stage.expect(opened.describe(leaker).verdicts(&["idle-unguarded"]));
    stage.hold()
}
