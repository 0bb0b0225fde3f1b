//! Sockets that end without close(2), and kernel structures used again: nothing of the dead may be shown as open.

use super::net::{answer, greet, guard, hear, listener, loopback, port_of};
use super::peer::{Peer, accept_connection, guarded_answerer};
use super::stage::{Opened, Stage};
use crate::truth::Expect;
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use std::net::{TcpListener, TcpStream};

const ENDED: usize = 30;
const CHURNED: usize = 1_500;
const LEFT: usize = 20;

// Two functions with different error texts, so that the compiler does not merge them into one call site.

#[inline(never)]
fn open_and_exit(port: u16) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(loopback(port)).context("cannot connect before the exit")?;
    greet(&mut stream)?;
    Ok(stream)
}

#[inline(never)]
fn open_and_be_killed(port: u16) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(loopback(port)).context("cannot connect before the kill")?;
    greet(&mut stream)?;
    Ok(stream)
}

/// Closed by the exit of the process.
///
/// # Errors
/// When sockets cannot be made; the same for every program.
pub fn closed_by_exit(stage: &mut Stage) -> Result<()> {
    ended_by(stage, Signal::SIGTERM, "open_and_exit", open_and_exit)
}

/// Closed by SIGKILL.
///
/// # Errors
/// See [`closed_by_exit`].
pub fn closed_by_sigkill(stage: &mut Stage) -> Result<()> {
    ended_by(stage, Signal::SIGKILL, "open_and_be_killed", open_and_be_killed)
}

fn ended_by(stage: &mut Stage, signal: Signal, name: &str, open: fn(u16) -> Result<TcpStream>) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut server = Peer::spawn(move |_| serve_until_end_of_each(&listener, ENDED))?;
    let mut client = Peer::spawn(|_| {
        // The default action of SIGTERM would be no exit(2); this one is.
        if signal == Signal::SIGTERM {
            let action = nix::sys::signal::SigHandler::Handler(leave);
            // SAFETY: the handler only calls _exit.
            unsafe { nix::sys::signal::signal(signal, action) }.context("cannot set a handler")?;
        }
        Opened::many(ENDED, || open(port))
    })?;
    client.wait()?;
    let pid = client.pid();
    client.end(signal)?;
    server.wait()?;
    let mut gone = Expect::connected("ended", pid, port).count(0).any_state().any_holder();
    gone.closed_in_window = Some(ENDED as u64);
    gone.function = Some(name.into());
    stage.expect(gone);
    stage.hold()
}

extern "C" fn leave(_signal: nix::libc::c_int) {
    // SAFETY: _exit is safe in a signal handler.
    unsafe { nix::libc::_exit(0) }
}

/// Accepts all, answers each, and closes each once the client is gone.
fn serve_until_end_of_each(listener: &TcpListener, count: usize) -> Result<()> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = accept_connection(listener)?;
        answer(&mut stream)?;
        streams.push(stream);
    }
    for stream in &mut streams {
        anyhow::ensure!(hear(stream, 1).is_err(), "payload after the end");
    }
    Ok(())
}

/// Heavy opening and closing, then a leak: the leaked sockets live in memory that others had before.
///
/// # Errors
/// See [`closed_by_exit`].
pub fn reused_memory(stage: &mut Stage) -> Result<()> {
    #[inline(never)]
    fn leak_into_reused_memory(port: u16) -> Result<TcpStream> {
        let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
        Ok(stream)
    }
    let (busy, quiet) = (listener()?, listener()?);
    let (busy_port, quiet_port) = (port_of(&busy)?, port_of(&quiet)?);
    let _busy = Peer::spawn(move |_| {
        loop {
            let mut stream = accept_connection(&busy)?;
            answer(&mut stream)?;
            hear(&mut stream, 1).ok();
        }
        #[allow(unreachable_code)]
        Ok(())
    })?;
    let mut peer = guarded_answerer(quiet, LEFT)?;
    for _ in 0..CHURNED {
        greet(&mut TcpStream::connect(loopback(busy_port)).context("cannot connect")?)?;
    }
    let mut opened = Opened::many(LEFT, || leak_into_reused_memory(quiet_port))?;
    for stream in &mut opened.streams {
        guard(stream)?;
        greet(stream)?;
    }
    peer.wait()?;
    let leaker = Expect::connected("leaker", stage.pid(), quiet_port).function("leak_into_reused_memory");
    stage.expect(opened.describe(leaker));
    stage.expect(Expect::accepted("peer", peer.pid(), quiet_port).count(LEFT));
    stage.hold()
}
