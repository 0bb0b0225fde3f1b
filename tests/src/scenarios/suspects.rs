//! States in which the other end, or the network, may be at fault: each `suspect` verdict by itself, and `long-lived`.

use super::net::{greet, guard, hear, listener, listener_on, loopback, port_of, say, set_tcp_option};
use super::peer::{Peer, guarded_answerer, server};
use super::stage::{Opened, Stage};
use crate::truth::{Expect, Opener};
use anyhow::{Context, Result};
use socket2::{Domain, SockRef, Socket, Type};
use std::net::TcpStream;
use std::time::Duration;

/// Established, and the peer never says a word.
///
/// # Errors
/// When sockets cannot be made; the same for every program.
pub fn silent_peer(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_silent_peer(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = server(listener, 5, |mut stream| {
        guard(&stream)?;
        hear(&mut stream, 1)?;
        Ok(Some(stream))
    })?;
    let mut opened = Opened::many(5, || leak_silent_peer(port))?;
    for stream in &mut opened.streams {
        guard(stream)?;
        say(stream, 1)?;
    }
    peer.wait()?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_silent_peer");
    stage.expect(opened.describe(leaker).verdicts(&["silent-peer"]).received_and_read(0, 0).keepalive(true));
    stage.expect(Expect::accepted("peer", peer.pid(), port).count(5));
    stage.hold()
}

/// SYNs without an answer: the listener's accept queue is full, so the kernel drops them.
///
/// # Errors
/// See [`silent_peer`].
pub fn connecting(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_connecting(port: u16) -> Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).context("cannot make a socket")?;
        socket.set_nonblocking(true)?;
        // Six would be given up after 127 seconds, which an emulated processor may need to come round to looking.
        set_tcp_option(&socket, libc::TCP_SYNCNT, 8)?;
        let refused = socket.connect(&loopback(port).into());
        anyhow::ensure!(refused.is_err_and(|error| error.raw_os_error() == Some(nix::libc::EINPROGRESS)), "connected");
        Ok(socket.into())
    }
    let (port, _full, _peer) = full_listener(stage)?;
    let opened = Opened::many(6, || leak_connecting(port))?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_connecting").only_in("SYN_SENT");
    stage.expect(opened.describe(leaker).verdicts(&["connecting"]));
    stage.hold()
}

/// A listener whose accept queue is full, and the two ends of the one connection in it.
fn full_listener(stage: &mut Stage) -> Result<(u16, Peer, TcpStream)> {
    let listener = listener_on(loopback(0), 0)?;
    let port = port_of(&listener)?;
    let idler = Peer::spawn(move |_| Ok(listener))?;
    let mut first = TcpStream::connect(loopback(port)).context("cannot connect")?;
    guard(&first)?;
    say(&mut first, 1)?;
    let client = Expect::connected("first", stage.pid(), port).only_in("ESTABLISHED");
    stage.expect(client.count(1).verdicts(&["silent-peer"]));
    let waiting = Expect::accepted("queued", idler.pid(), port).count(1).opener(Opener::Nobody).held_by(&[]);
    stage.expect(waiting.verdicts(&["not-accepted"]));
    Ok((port, idler, first))
}

/// Established connections that a server leaves in its accept queue.
///
/// # Errors
/// See [`silent_peer`].
pub fn not_accepted(stage: &mut Stage) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let peer = Peer::spawn(move |_| {
        let mut opened = Opened::many(5, || Ok(TcpStream::connect(loopback(port))?))?;
        for stream in &mut opened.streams {
            guard(stream)?;
            say(stream, 10)?;
        }
        Ok(opened)
    })?;
    let mut peer = peer;
    peer.wait()?;
    let queued = Expect::accepted("leaker", stage.pid(), port).count(5).opener(Opener::Nobody).held_by(&[]);
    stage.expect(queued.verdicts(&["not-accepted"]).rx_queue(10));
    stage.expect(Expect::connected("peer", peer.pid(), port).count(5).verdicts(&["silent-peer"]));
    stage.hold()?;
    drop(listener);
    Ok(())
}

/// Idle, with nothing that would notice a dead peer.
///
/// # Errors
/// See [`silent_peer`].
pub fn idle_unguarded(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_idle_unguarded(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = guarded_answerer(listener, 5)?;
    let mut opened = Opened::many(5, || leak_idle_unguarded(port))?;
    opened.streams.iter_mut().try_for_each(greet)?;
    peer.wait()?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_idle_unguarded");
    stage.expect(opened.describe(leaker).verdicts(&["idle-unguarded"]).keepalive(false).received_and_read(1, 1));
    stage.expect(Expect::accepted("peer", peer.pid(), port).count(5).keepalive(true));
    stage.hold()
}

/// Idle, but TCP_USER_TIMEOUT or keepalive is set: nothing above info.
///
/// # Errors
/// See [`silent_peer`].
pub fn idle_guarded(stage: &mut Stage) -> Result<()> {
    let timed = listener()?;
    let timed_port = port_of(&timed)?;
    let mut timed_peer = guarded_answerer(timed, 3)?;
    let probed = listener()?;
    let probed_port = port_of(&probed)?;
    let mut probed_peer = guarded_answerer(probed, 3)?;

    let mut opened = Opened::many(3, || Ok(TcpStream::connect(loopback(timed_port))?))?;
    for stream in &mut opened.streams {
        SockRef::from(&*stream).set_tcp_user_timeout(Some(Duration::from_secs(30)))?;
        greet(stream)?;
    }
    timed_peer.wait()?;
    let mut control = opened.describe(Expect::connected("control", stage.pid(), timed_port)).keepalive(false);
    control.user_timeout_ms = Some(30_000);
    stage.expect(control);

    let mut probed = Opened::many(3, || Ok(TcpStream::connect(loopback(probed_port))?))?;
    for stream in &mut probed.streams {
        guard(stream)?;
        greet(stream)?;
    }
    probed_peer.wait()?;
    stage.expect(probed.describe(Expect::connected("control", stage.pid(), probed_port)).keepalive(true));
    stage.hold()
}

/// Old, and otherwise in order.
///
/// # Errors
/// See [`silent_peer`].
pub fn long_lived(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_long_lived(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = guarded_answerer(listener, 5)?;
    let mut opened = Opened::many(5, || leak_long_lived(port))?;
    for stream in &mut opened.streams {
        guard(stream)?;
        greet(stream)?;
    }
    peer.wait()?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_long_lived");
    stage.expect(opened.describe(leaker));
    stage.hold()
}
