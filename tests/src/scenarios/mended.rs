//! Leaks that are mended on the word `mend`: within two intervals their verdicts must be gone.

use super::net::{
    CLOSE_WAIT, CLOSED, answer, await_state, fill, greet, guard, hear, listener, loopback, narrow_listener, port_of,
    reset_on_close, say,
};
use super::peer::{Peer, guarded_answerer, server};
use super::stage::{Opened, Stage};
use crate::truth::{Expect, Opener};
use anyhow::{Context, Result};
use std::io::{PipeWriter, Read, Write};
use std::net::{TcpListener, TcpStream};

const EACH: usize = 3;

/// A function that the mended client connects with.
#[inline(never)]
fn leak_until_mended(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
    guard(&stream)?;
    Ok(stream)
}

/// One leak of this client and how it is mended.
struct Ward {
    port: u16,
    peer: Peer,
    opened: Opened,
    /// Tells the peer to do its part of the mending.
    nudge: Option<PipeWriter>,
}

impl Ward {
    fn class(&self, stage: &Stage) -> Expect {
        self.opened.describe(Expect::connected("mended", stage.pid(), self.port).function("leak_until_mended"))
    }
}

/// Never read, then drained. The verdict goes, the sockets stay.
///
/// # Errors
/// When sockets cannot be made; the same for every program.
pub fn never_read(stage: &mut Stage) -> Result<()> {
    let mut ward = ward(listener()?, |mut stream| {
        hear(&mut stream, 1)?;
        say(&mut stream, 100)?;
        Ok(Some(stream))
    })?;
    ward.opened.streams.iter_mut().try_for_each(|stream| say(stream, 1))?;
    ward.peer.wait()?;
    stage.expect(ward.class(stage).verdicts(&["never-read"]).rx_queue(100));
    mend(stage, &mut ward, |ward| {
        ward.opened.streams.iter_mut().try_for_each(|stream| hear(stream, 100))?;
        Ok(Remains::Open)
    })
}

/// In CLOSE_WAIT, then closed.
///
/// # Errors
/// See [`never_read`].
pub fn close_wait(stage: &mut Stage) -> Result<()> {
    let mut ward = ward(listener()?, |mut stream| {
        answer(&mut stream)?;
        Ok(None)
    })?;
    ward.opened.streams.iter_mut().try_for_each(greet)?;
    ward.peer.wait()?;
    await_state(&ward.opened.streams, CLOSE_WAIT)?;
    stage.expect(ward.class(stage).verdicts(&["close-wait"]).state("CLOSE_WAIT"));
    mend(stage, &mut ward, |ward| {
        ward.opened.streams.clear();
        Ok(Remains::Gone)
    })
}

/// Reset and still held, then closed.
///
/// # Errors
/// See [`never_read`].
pub fn dead_held(stage: &mut Stage) -> Result<()> {
    let mut ward = ward(listener()?, |mut stream| {
        answer(&mut stream)?;
        reset_on_close(&stream)?;
        Ok(None)
    })?;
    ward.opened.streams.iter_mut().try_for_each(greet)?;
    ward.peer.wait()?;
    await_state(&ward.opened.streams, CLOSED)?;
    stage.expect(ward.class(stage).verdicts(&["dead-held"]).state("CLOSED"));
    mend(stage, &mut ward, |ward| {
        ward.opened.streams.clear();
        Ok(Remains::Gone)
    })
}

/// Idle without a guard, then with keepalive.
///
/// # Errors
/// See [`never_read`].
pub fn idle_unguarded(stage: &mut Stage) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = guarded_answerer(listener, EACH)?;
    let mut opened = Opened::many(EACH, || leak_until_mended(port))?;
    for stream in &mut opened.streams {
        socket2::SockRef::from(&*stream).set_keepalive(false).context("cannot turn keepalive off")?;
        greet(stream)?;
    }
    peer.wait()?;
    let mut ward = Ward { port, peer, opened, nudge: None };
    stage.expect(ward.class(stage).verdicts(&["idle-unguarded"]).keepalive(false));
    mend(stage, &mut ward, |ward| {
        ward.opened.streams.iter().try_for_each(guard)?;
        Ok(Remains::Open)
    })
}

/// A silent peer that speaks at last.
///
/// # Errors
/// See [`never_read`].
pub fn silent_peer(stage: &mut Stage) -> Result<()> {
    let mut ward = nudged_ward(listener()?, |stream| say(stream, 1))?;
    ward.peer.wait()?;
    stage.expect(ward.class(stage).verdicts(&["silent-peer"]));
    mend(stage, &mut ward, |ward| {
        nudge(ward)?;
        ward.opened.streams.iter_mut().try_for_each(|stream| hear(stream, 1))?;
        Ok(Remains::Open)
    })
}

/// Stalled by a reader that then reads everything.
///
/// # Errors
/// See [`never_read`].
pub fn write_stalled(stage: &mut Stage) -> Result<()> {
    let mut ward = nudged_ward(narrow_listener()?, |stream| {
        stream.set_nonblocking(false).context("cannot switch to blocking")?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(2))).context("cannot set a timeout")?;
        // Ends with the timeout, when nothing more comes.
        let _ = std::io::copy(stream, &mut std::io::sink());
        say(stream, 1)
    })?;
    ward.peer.wait()?;
    for stream in &mut ward.opened.streams {
        socket2::SockRef::from(&*stream).set_send_buffer_size(16 << 10).context("cannot shrink the send buffer")?;
        fill(stream)?;
        stream.set_nonblocking(false).context("cannot switch to blocking")?;
    }
    stage.expect(ward.class(stage).verdicts(&["write-stalled"]).tolerating(&["silent-peer"]));
    mend(stage, &mut ward, |ward| {
        nudge(ward)?;
        ward.opened.streams.iter_mut().try_for_each(|stream| hear(stream, 1))?;
        Ok(Remains::Open)
    })
}

/// Left in the accept queue, then accepted.
///
/// # Errors
/// See [`never_read`].
pub fn not_accepted(stage: &mut Stage) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = Peer::spawn(|_| {
        let mut opened = Opened::many(EACH, || leak_until_mended(port))?;
        opened.streams.iter_mut().try_for_each(|stream| say(stream, 1))?;
        Ok(opened)
    })?;
    peer.wait()?;
    let queued = Expect::accepted("mended", stage.pid(), port).count(EACH).opener(Opener::Nobody).held_by(&[]);
    stage.expect(queued.verdicts(&["not-accepted"]));
    stage.ready()?;
    if !stage.cue("mend")? {
        return Ok(());
    }
    let mut accepted = Opened::default();
    for _ in 0..EACH {
        accepted.one(|| super::peer::accept_connection(&listener))?;
    }
    for stream in &mut accepted.streams {
        guard(stream)?;
        answer(stream)?;
    }
    stage.forget();
    stage.expect(Expect::accepted("mended", stage.pid(), port).count(EACH).function("accept_connection"));
    stage.ready()?;
    stage.hold()?;
    drop(peer);
    Ok(())
}

enum Remains {
    Open,
    Gone,
}

fn mend(stage: &mut Stage, ward: &mut Ward, work: impl FnOnce(&mut Ward) -> Result<Remains>) -> Result<()> {
    stage.ready()?;
    if !stage.cue("mend")? {
        return Ok(());
    }
    let before = ward.class(stage);
    let after = match work(ward)? {
        Remains::Open => before,
        // The peer's FIN-WAIT and this end's TIME-WAIT may still be shown, but never flagged.
        Remains::Gone => {
            let mut gone = before.any_state().any_holder();
            gone.count = None;
            gone.sockets.clear();
            gone
        }
    };
    stage.forget();
    stage.expect(after);
    stage.ready()?;
    stage.hold()
}

fn ward(listener: TcpListener, serve: impl FnMut(TcpStream) -> Result<Option<TcpStream>>) -> Result<Ward> {
    let port = port_of(&listener)?;
    let peer = server(listener, EACH, serve)?;
    let opened = Opened::many(EACH, || leak_until_mended(port))?;
    Ok(Ward { port, peer, opened, nudge: None })
}

/// A peer that greets, then waits for a nudge and does `work` on each connection.
fn nudged_ward(listener: TcpListener, work: impl Fn(&mut TcpStream) -> Result<()>) -> Result<Ward> {
    let port = port_of(&listener)?;
    let (mut waits, nudge) = std::io::pipe().context("cannot make a pipe")?;
    let peer = Peer::spawn(move |bell| {
        let mut streams = Vec::new();
        for _ in 0..EACH {
            let mut stream = super::peer::accept_connection(&listener)?;
            guard(&stream)?;
            hear(&mut stream, 1)?;
            streams.push(stream);
        }
        bell.ring()?;
        waits.read_exact(&mut [0]).context("the parent is gone")?;
        streams.iter_mut().try_for_each(work)?;
        Ok((listener, streams))
    })?;
    let mut opened = Opened::many(EACH, || leak_until_mended(port))?;
    opened.streams.iter_mut().try_for_each(|stream| say(stream, 1))?;
    Ok(Ward { port, peer, opened, nudge: Some(nudge) })
}

fn nudge(ward: &mut Ward) -> Result<()> {
    ward.nudge.as_mut().context("nobody to nudge")?.write_all(b".").context("the peer is gone")
}
