//! Ways of reading that move, or do not move, the kernel's mark of what was read: MSG_PEEK and splice.

use super::net::{answer, guard, hear, listener, loopback, port_of, say};
use super::peer::{Peer, accept_connection, server};
use super::stage::{Opened, Stage};
use super::stories::thread;
use crate::truth::Expect;
use anyhow::{Context, Result};
use nix::fcntl::{SpliceFFlags, splice};
use std::net::TcpStream;
use std::time::Duration;

/// Looks at its payload again and again and never takes it.
///
/// # Errors
/// When sockets cannot be made; the same for every program.
pub fn peeker(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_peeked(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = server(listener, 3, |mut stream| {
        guard(&stream)?;
        hear(&mut stream, 1)?;
        say(&mut stream, 100)?;
        Ok(Some(stream))
    })?;
    let mut opened = Opened::many(3, || leak_peeked(port))?;
    for stream in &mut opened.streams {
        guard(stream)?;
        say(stream, 1)?;
    }
    peer.wait()?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_peeked");
    stage.expect(opened.describe(leaker).verdicts(&["never-read"]).rx_queue(100).received_and_read(100, 0));
    thread(move || {
        let mut page = [0; 128];
        loop {
            for stream in &opened.streams {
                stream.peek(&mut page).context("cannot peek")?;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    })?;
    stage.hold()
}

/// Took one byte through splice, then no more.
///
/// # Errors
/// See [`peeker`].
pub fn splice_stalled(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_spliced(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = server(listener, 3, |mut stream| {
        guard(&stream)?;
        hear(&mut stream, 1)?;
        say(&mut stream, 101)?;
        Ok(Some(stream))
    })?;
    let mut opened = Opened::many(3, || leak_spliced(port))?;
    let (_sink, pipe) = std::io::pipe().context("cannot make a pipe")?;
    for stream in &mut opened.streams {
        guard(stream)?;
        say(stream, 1)?;
        let moved = splice(&*stream, None, &pipe, None, 1, SpliceFFlags::empty()).context("cannot splice")?;
        anyhow::ensure!(moved == 1, "splice moved {moved} bytes");
    }
    peer.wait()?;
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_spliced");
    stage.expect(opened.describe(leaker).verdicts(&["read-stalled"]).rx_queue(100).received_and_read(101, 1));
    stage.hold()
}

/// A healthy proxy that moves everything by splice, from one connection to another.
///
/// # Errors
/// See [`peeker`].
pub fn splice_proxy(stage: &mut Stage) -> Result<()> {
    let (front, back) = (listener()?, listener()?);
    let (front_port, back_port) = (port_of(&front)?, port_of(&back)?);
    let mut origin = Peer::spawn(move |bell| {
        let mut stream = accept_connection(&back)?;
        bell.ring()?;
        loop {
            answer(&mut stream)?;
        }
        #[allow(unreachable_code)]
        Ok(())
    })?;
    let client = Peer::spawn(|_| {
        let mut stream = TcpStream::connect(loopback(front_port)).context("cannot connect")?;
        loop {
            super::net::greet(&mut stream)?;
            std::thread::sleep(Duration::from_millis(100));
        }
        #[allow(unreachable_code)]
        Ok(())
    })?;
    let up = accept_connection(&front)?;
    let down = TcpStream::connect(loopback(back_port)).context("cannot connect")?;
    origin.wait()?;
    stage.expect(Expect::accepted("control", stage.pid(), front_port).count(1).function("accept_connection"));
    stage.expect(Expect::connected("control", stage.pid(), back_port).count(1));
    stage.expect(Expect::connected("control", client.pid(), front_port).count(1));
    thread(move || {
        let (outlet, inlet) = std::io::pipe().context("cannot make a pipe")?;
        loop {
            for (from, to) in [(&up, &down), (&down, &up)] {
                splice(from, None, &inlet, None, 1, SpliceFFlags::empty()).context("cannot splice in")?;
                splice(&outlet, None, to, None, 1, SpliceFFlags::empty()).context("cannot splice out")?;
            }
        }
    })?;
    stage.hold()
}
