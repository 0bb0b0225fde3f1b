//! Sockets opened through io_uring, in the caller's context and in a kernel worker.

use super::net::{answer, greet, guard, listener, loopback, port_of, tcp_socket};
use super::peer::{Peer, guarded_answerer};
use super::refusal::cannot_run_here;
use super::stage::{Opened, Stage};
use crate::truth::{Expect, Opener};
use anyhow::{Context, Result};
use io_uring::squeue::{Entry, Flags};
use io_uring::{IoUring, opcode, types};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};

/// Whether the kernel may try the call before it hands it to a worker.
#[derive(Clone, Copy)]
enum Runner {
    Caller,
    Worker,
}

impl Runner {
    fn flags(self) -> Flags {
        match self {
            Self::Caller => Flags::empty(),
            Self::Worker => Flags::ASYNC,
        }
    }
}

/// Accepted through io_uring.
///
/// # Errors
/// When the kernel has no io_uring; so for every program.
pub fn accept(stage: &mut Stage) -> Result<()> {
    accept_in(stage, Runner::Caller)
}

/// Accepted by an io_uring worker.
///
/// # Errors
/// See [`accept`].
pub fn accept_in_worker(stage: &mut Stage) -> Result<()> {
    accept_in(stage, Runner::Worker)
}

/// Connected through io_uring.
///
/// # Errors
/// See [`accept`].
pub fn connect(stage: &mut Stage) -> Result<()> {
    connect_in(stage, Runner::Caller)
}

/// Connected by an io_uring worker.
///
/// # Errors
/// See [`accept`].
pub fn connect_in_worker(stage: &mut Stage) -> Result<()> {
    connect_in(stage, Runner::Worker)
}

fn accept_in(stage: &mut Stage, context: Runner) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut clients = Peer::spawn(|_| {
        let mut opened = Opened::many(4, || Ok(TcpStream::connect(loopback(port))?))?;
        for stream in &mut opened.streams {
            guard(stream)?;
            greet(stream)?;
        }
        Ok(opened)
    })?;
    let mut ring = ring()?;
    let mut accepted = Opened::default();
    for _ in 0..4 {
        accepted.one(|| accept_through(&mut ring, &listener, context))?;
        accepted.streams.last_mut().map(answer).transpose()?;
    }
    clients.wait()?;
    let leaker = Expect::accepted("leaker", stage.pid(), port).count(4).opener(Opener::PerhapsUnknown);
    stage.expect(leaker.verdicts(&["idle-unguarded"]));
    stage.expect(Expect::connected("peer", clients.pid(), port).count(4));
    stage.hold()
}

fn connect_in(stage: &mut Stage, context: Runner) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut peer = guarded_answerer(listener, 4)?;
    let mut ring = ring()?;
    let mut opened = Opened::many(4, || connect_through(&mut ring, port, context))?;
    opened.streams.iter_mut().try_for_each(greet)?;
    peer.wait()?;
    let opener = match context {
        Runner::Caller => Opener::Certain,
        Runner::Worker => Opener::PerhapsUnknown,
    };
    let leaker = opened.describe(Expect::connected("leaker", stage.pid(), port)).opener(opener);
    stage.expect(leaker.verdicts(&["idle-unguarded"]));
    stage.hold()
}

fn ring() -> Result<IoUring> {
    IoUring::new(8).map_err(|error| cannot_run_here(format!("no io_uring here: {error}")))
}

fn accept_through(ring: &mut IoUring, listener: &TcpListener, context: Runner) -> Result<TcpStream> {
    let nobody = std::ptr::null_mut();
    let entry = opcode::Accept::new(types::Fd(listener.as_raw_fd()), nobody, std::ptr::null_mut());
    let descriptor = complete(ring, &entry.build().flags(context.flags()))?;
    // SAFETY: the kernel has just made this descriptor for us, and no other code has its number.
    Ok(unsafe { TcpStream::from_raw_fd(descriptor) })
}

fn connect_through(ring: &mut IoUring, port: u16, context: Runner) -> Result<TcpStream> {
    let socket = tcp_socket(loopback(0))?;
    let address = socket2::SockAddr::from(loopback(port));
    let entry = opcode::Connect::new(types::Fd(socket.as_raw_fd()), address.as_ptr().cast(), address.len());
    complete(ring, &entry.build().flags(context.flags()))?;
    Ok(socket.into())
}

/// Submits one entry and waits for its result; everything that it points to must outlive this call.
fn complete(ring: &mut IoUring, entry: &Entry) -> Result<i32> {
    // SAFETY: callers keep descriptor and address alive until this returns, which is after completion.
    unsafe { ring.submission().push(entry) }.context("the ring is full")?;
    ring.submit_and_wait(1).context("cannot submit")?;
    let result = ring.completion().next().context("nothing completed")?.result();
    anyhow::ensure!(result >= 0, "io_uring: {}", std::io::Error::from_raw_os_error(-result));
    Ok(result)
}
