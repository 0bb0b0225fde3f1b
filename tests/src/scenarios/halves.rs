//! Connections closed in one direction: by either end, and with payload still on its way.

use super::net::{CLOSED, answer, await_state, greet, hear, listener, loopback, port_of, say};
use super::peer::{Peer, accept_connection, server};
use super::stage::{Opened, Stage};
use crate::truth::Expect;
use anyhow::{Context, Result};
use std::net::{Shutdown, TcpStream};

/// The client has shut its sending side and waits for ever; the server never closes.
///
/// # Errors
/// When sockets cannot be made; the same for every program.
pub fn half_closed_by_us(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_half_closed(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = server(listener, 3, |mut stream| {
        answer(&mut stream)?;
        anyhow::ensure!(hear(&mut stream, 1).is_err(), "payload after the end");
        Ok(Some(stream))
    })?;
    let mut opened = Opened::default();
    for _ in 0..3 {
        opened.one(|| leak_half_closed(port))?;
        if let Some(stream) = opened.streams.last_mut() {
            greet(stream)?;
            stream.shutdown(Shutdown::Write).context("cannot shut down")?;
        }
    }
    peer.wait()?;
    let waiting = Expect::connected("leaker", stage.pid(), port).function("leak_half_closed").state("FIN_WAIT_2");
    stage.expect(opened.describe(waiting));
    let server = Expect::accepted("leaker", peer.pid(), port).count(3).state("CLOSE_WAIT");
    stage.expect(server.verdicts(&["close-wait"]).rx_queue(0));
    stage.hold()
}

/// The peer has shut its sending side after payload that is not read: closed by the peer, and unread.
///
/// # Errors
/// See [`half_closed_by_us`].
pub fn half_closed_unread(stage: &mut Stage) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = Peer::spawn(|_| {
        let mut opened = Opened::many(3, || Ok(TcpStream::connect(loopback(port))?))?;
        for stream in &mut opened.streams {
            say(stream, 20)?;
            stream.shutdown(Shutdown::Write).context("cannot shut down")?;
        }
        Ok(opened)
    })?;
    let accepted = Opened::many(3, || accept_connection(&listener))?;
    peer.wait()?;
    let leaker = Expect::accepted("leaker", stage.pid(), port).count(3).state("CLOSE_WAIT");
    stage.expect(leaker.verdicts(&["close-wait", "never-read"]).rx_queue(20).received_and_read(20, 0));
    stage.expect(Expect::connected("peer", peer.pid(), port).count(3).state("FIN_WAIT_2"));
    stage.hold()?;
    drop(accepted);
    Ok(())
}

/// This end has shut its receiving side; TCP knows nothing of that, so it is an ordinary idle connection.
///
/// # Errors
/// See [`half_closed_by_us`].
pub fn receive_shut(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_receive_shut(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = super::peer::guarded_answerer(listener, 3)?;
    let mut opened = Opened::many(3, || leak_receive_shut(port))?;
    for stream in &mut opened.streams {
        greet(stream)?;
        stream.shutdown(Shutdown::Read).context("cannot shut down")?;
    }
    peer.wait()?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_receive_shut");
    stage.expect(opened.describe(leaker).verdicts(&["idle-unguarded"]));
    stage.hold()
}

/// Both ends have shut both directions, and neither has closed its descriptor: TCP is finished at this end.
///
/// # Errors
/// See [`half_closed_by_us`].
pub fn shut_both_ways(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_shut_both_ways(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = server(listener, 3, |mut stream| {
        answer(&mut stream)?;
        stream.shutdown(Shutdown::Both).context("cannot shut down")?;
        Ok(Some(stream))
    })?;
    let mut opened = Opened::default();
    for _ in 0..3 {
        opened.one(|| leak_shut_both_ways(port))?;
        if let Some(stream) = opened.streams.last_mut() {
            greet(stream)?;
            anyhow::ensure!(hear(stream, 1).is_err(), "payload after the end");
            stream.shutdown(Shutdown::Both).context("cannot shut down")?;
        }
    }
    peer.wait()?;
    // The FIN's acknowledgement moves LAST_ACK to CLOSED.
    await_state(&opened.streams, CLOSED)?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_shut_both_ways").state("CLOSED");
    stage.expect(opened.describe(leaker).verdicts(&["dead-held"]));
    stage.hold()
}
