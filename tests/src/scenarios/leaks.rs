//! Leaks of this end: each `leak` verdict by itself, with a peer that earns none.

use super::net::{
    CLOSE_WAIT, CLOSED, answer, await_state, fill, greet, guard, hear, listener, loopback, narrow_listener, port_of,
    reset_on_close, say,
};
use super::peer::server;
use super::stage::{Opened, Stage};
use crate::truth::Expect;
use anyhow::{Context, Result};
use std::net::{Shutdown, TcpStream};

/// Fifty connections, used once and forgotten.
///
/// # Errors
/// When sockets cannot be made; the same for every program.
pub fn fifty(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_fifty_connections(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = server(listener, 50, |mut stream| {
        guard(&stream)?;
        answer(&mut stream)?;
        Ok(Some(stream))
    })?;
    let mut opened = Opened::default();
    for _ in 0..50 {
        opened.one(|| leak_fifty_connections(port))?;
        if let Some(stream) = opened.streams.last_mut() {
            guard(stream)?;
            greet(stream)?;
        }
    }
    peer.wait()?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_fifty_connections");
    stage.expect(opened.describe(leaker).received_and_read(1, 1).rx_queue(0).keepalive(true));
    let accepted = Expect::accepted("peer", peer.pid(), port).function("accept_connection");
    stage.expect(accepted.count(50).received_and_read(1, 1));
    stage.hold()
}

/// Two functions of one process leak side by side: two call sites, though everything above and below them is the same.
///
/// # Errors
/// See [`fifty`].
pub fn two_callsites(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_from_one_place(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    #[inline(never)]
    fn leak_from_another(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let (one, another) = (listener()?, listener()?);
    let (one_port, another_port) = (port_of(&one)?, port_of(&another)?);
    let one_peer = super::peer::guarded_answerer(one, 10)?;
    let another_peer = super::peer::guarded_answerer(another, 10)?;
    let mut first = Opened::default();
    let mut second = Opened::default();
    for _ in 0..10 {
        first.one(|| leak_from_one_place(one_port))?;
        second.one(|| leak_from_another(another_port))?;
    }
    for stream in first.streams.iter_mut().chain(&mut second.streams) {
        guard(stream)?;
    }
    // Each peer answers one connection after the other.
    first.streams.iter_mut().chain(&mut second.streams).try_for_each(greet)?;
    stage.expect(first.describe(Expect::connected("leaker", stage.pid(), one_port).function("leak_from_one_place")));
    stage.expect(second.describe(Expect::connected("leaker", stage.pid(), another_port).function("leak_from_another")));
    stage.hold()?;
    drop((one_peer, another_peer));
    Ok(())
}

/// The peer has closed; this end was idle when the FIN came, so nothing but the FIN is in the queue.
///
/// # Errors
/// See [`fifty`].
pub fn close_wait(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_after_fin(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = server(listener, 5, |mut stream| {
        answer(&mut stream)?;
        Ok(None)
    })?;
    let mut opened = Opened::many(5, || leak_after_fin(port))?;
    opened.streams.iter_mut().try_for_each(greet)?;
    peer.wait()?;
    await_state(&opened.streams, CLOSE_WAIT)?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_after_fin").state("CLOSE_WAIT");
    stage.expect(opened.describe(leaker).verdicts(&["close-wait"]).rx_queue(0).received_and_read(1, 1));
    stage.hold()
}

/// The peer connected, said nothing and closed: a FIN is no payload, so this is no `never-read` and no `silent-peer`.
///
/// # Errors
/// See [`fifty`].
pub fn close_wait_wordless(stage: &mut Stage) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let peer = super::peer::Peer::spawn(move |_| {
        for _ in 0..3 {
            TcpStream::connect(loopback(port)).context("cannot connect")?.shutdown(Shutdown::Write)?;
        }
        Ok(())
    })?;
    let opened = Opened::many(3, || super::peer::accept_connection(&listener))?;
    await_state(&opened.streams, CLOSE_WAIT)?;
    let leaker = Expect::accepted("leaker", stage.pid(), port).function("accept_connection").state("CLOSE_WAIT");
    stage.expect(leaker.count(3).verdicts(&["close-wait"]).rx_queue(0).received_and_read(0, 0));
    stage.hold()?;
    drop((opened, peer));
    Ok(())
}

/// The peer reset the connection; TCP is finished, the descriptor is not.
///
/// # Errors
/// See [`fifty`].
pub fn dead_held(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_after_reset(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = server(listener, 5, |mut stream| {
        answer(&mut stream)?;
        reset_on_close(&stream)?;
        Ok(None)
    })?;
    let mut opened = Opened::many(5, || leak_after_reset(port))?;
    opened.streams.iter_mut().try_for_each(greet)?;
    peer.wait()?;
    await_state(&opened.streams, CLOSED)?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_after_reset").state("CLOSED");
    stage.expect(opened.describe(leaker).verdicts(&["dead-held"]));
    stage.hold()
}

/// The same at the accepting end.
///
/// # Errors
/// See [`fifty`].
pub fn dead_held_accepted(stage: &mut Stage) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = super::peer::Peer::spawn(move |_| {
        for _ in 0..4 {
            let mut stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
            greet(&mut stream)?;
            reset_on_close(&stream)?;
        }
        Ok(())
    })?;
    let mut opened = Opened::default();
    for _ in 0..4 {
        opened.one(|| super::peer::accept_connection(&listener))?;
        opened.streams.last_mut().map(answer).transpose()?;
    }
    peer.wait()?;
    await_state(&opened.streams, CLOSED)?;
    let leaker = Expect::accepted("leaker", stage.pid(), port).function("accept_connection").state("CLOSED");
    stage.expect(leaker.count(4).verdicts(&["dead-held"]));
    stage.hold()
}

/// Payload came and none was ever read.
///
/// # Errors
/// See [`fifty`].
pub fn never_read(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_never_read(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = server(listener, 5, |mut stream| {
        guard(&stream)?;
        hear(&mut stream, 1)?;
        say(&mut stream, 100)?;
        Ok(Some(stream))
    })?;
    let mut opened = Opened::many(5, || leak_never_read(port))?;
    for stream in &mut opened.streams {
        guard(stream)?;
        say(stream, 1)?;
    }
    peer.wait()?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_never_read");
    stage.expect(
        opened.describe(leaker).verdicts(&["never-read"]).rx_queue(100).received_and_read(100, 0).waiters(false),
    );
    stage.expect(Expect::accepted("peer", peer.pid(), port).count(5).received_and_read(1, 1).rx_queue(0));
    stage.hold()
}

/// Payload came, one byte of it was read, then no more.
///
/// # Errors
/// See [`fifty`].
pub fn read_stalled(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_read_stalled(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = server(listener, 5, |mut stream| {
        guard(&stream)?;
        hear(&mut stream, 1)?;
        say(&mut stream, 101)?;
        Ok(Some(stream))
    })?;
    let mut opened = Opened::many(5, || leak_read_stalled(port))?;
    for stream in &mut opened.streams {
        guard(stream)?;
        greet(stream)?;
    }
    peer.wait()?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_read_stalled");
    stage.expect(opened.describe(leaker).verdicts(&["read-stalled"]).rx_queue(100).received_and_read(101, 1));
    stage.expect(Expect::accepted("peer", peer.pid(), port).count(5));
    stage.hold()
}

/// A reader that stopped, and the writer that it stalls: one leak, one suspect.
///
/// # Errors
/// See [`fifty`].
pub fn write_stalled(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_write_stalled(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let listener = narrow_listener()?;
    let port = port_of(&listener)?;
    let mut peer = server(listener, 3, |mut stream| {
        guard(&stream)?;
        answer(&mut stream)?;
        Ok(Some(stream))
    })?;
    let mut opened = Opened::many(3, || leak_write_stalled(port))?;
    for stream in &mut opened.streams {
        socket2::SockRef::from(&*stream).set_send_buffer_size(16 << 10).context("cannot shrink the send buffer")?;
        guard(stream)?;
        greet(stream)?;
        fill(stream)?;
    }
    peer.wait()?;
    let writer = Expect::connected("leaker", stage.pid(), port).function("leak_write_stalled");
    let mut writer = opened.describe(writer).verdicts(&["write-stalled"]);
    writer.tx_queue_bytes = Some([1, 1 << 20]);
    stage.expect(writer);
    let mut reader = Expect::accepted("leaker", peer.pid(), port).count(3).verdicts(&["read-stalled"]);
    reader.rx_queue_bytes = Some([1, 1 << 20]);
    stage.expect(reader);
    stage.hold()
}
