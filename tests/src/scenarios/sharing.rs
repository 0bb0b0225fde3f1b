//! Sockets whose opener and holder differ: fork, exec, dup, SCM_RIGHTS.

use super::net::{answer, greet, guard, listener, loopback, port_of};
use super::peer::{Peer, accept_connection, guarded_answerer};
use super::stage::{Opened, Stage};
use crate::truth::Expect;
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use std::io::{IoSlice, IoSliceMut};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

#[inline(never)]
fn leak_shared(port: u16) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(loopback(port)).context("cannot connect")?;
    greet(&mut stream)?;
    Ok(stream)
}

/// A listener whose connections will be idle and unguarded at the client's end.
fn idle_listener(count: usize) -> Result<(u16, Peer)> {
    let listener = listener()?;
    Ok((port_of(&listener)?, guarded_answerer(listener, count)?))
}

fn idle_class(stage: &Stage, opened: &Opened, port: u16) -> Expect {
    let leaker = Expect::connected("leaker", stage.pid(), port).function("leak_shared");
    opened.describe(leaker).verdicts(&["idle-unguarded"])
}

/// Opened before a fork: both processes hold it.
///
/// # Errors
/// When sockets cannot be made; the same for every program.
pub fn fork_shared(stage: &mut Stage) -> Result<()> {
    let (port, _server) = idle_listener(4)?;
    let opened = Opened::many(4, || leak_shared(port))?;
    let mut child = Peer::spawn(|_| Ok(()))?;
    child.wait()?;
    stage.expect(idle_class(stage, &opened, port).held_by(&[stage.pid(), child.pid()]));
    stage.hold()
}

/// Opened before a fork, then closed by the opener: only the child holds it.
///
/// # Errors
/// See [`fork_shared`].
pub fn fork_orphaned(stage: &mut Stage) -> Result<()> {
    let (port, _server) = idle_listener(4)?;
    let mut opened = Opened::many(4, || leak_shared(port))?;
    let mut child = Peer::spawn(|_| Ok(()))?;
    child.wait()?;
    opened.streams.clear();
    stage.expect(idle_class(stage, &opened, port).held_by(&[child.pid()]));
    stage.hold()
}

/// A pre-fork server: children accept on the parent's listener.
///
/// # Errors
/// See [`fork_shared`].
pub fn prefork(stage: &mut Stage) -> Result<()> {
    let listener = listener()?;
    let port = port_of(&listener)?;
    let mut accepter = Peer::spawn(|bell| {
        bell.ring()?;
        let mut opened = Opened::default();
        for _ in 0..4 {
            opened.one(|| accept_connection(&listener))?;
            opened.streams.last_mut().map(answer).transpose()?;
        }
        Ok(opened)
    })?;
    accepter.wait()?;
    let mut opened = Opened::many(4, || Ok(TcpStream::connect(loopback(port))?))?;
    for stream in &mut opened.streams {
        guard(stream)?;
        greet(stream)?;
    }
    accepter.wait()?;
    let leaker = Expect::accepted("leaker", accepter.pid(), port).function("accept_connection").count(4);
    stage.expect(leaker.verdicts(&["idle-unguarded"]));
    stage.expect(opened.describe(Expect::connected("peer", stage.pid(), port)));
    stage.hold()
}

/// Inherited across exec by a program that knows nothing of it.
///
/// # Errors
/// See [`fork_shared`].
pub fn exec_inherited(stage: &mut Stage) -> Result<()> {
    let (port, _server) = idle_listener(2)?;
    let mut opened = Opened::many(2, || leak_shared(port))?;
    for stream in &opened.streams {
        let none = nix::fcntl::FdFlag::empty();
        nix::fcntl::fcntl(stream, nix::fcntl::FcntlArg::F_SETFD(none)).context("cannot clear close-on-exec")?;
    }
    let own = std::env::current_exe().context("which program is this?")?;
    let mut child = std::process::Command::new(own)
        .arg("bystander")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .context("cannot start the bystander")?;
    let mut words = std::io::BufReader::new(child.stdout.take().context("no stdout")?);
    std::io::BufRead::read_line(&mut words, &mut String::new()).context("the bystander says nothing")?;
    opened.streams.clear();
    stage.expect(idle_class(stage, &opened, port).held_by(&[child.id()]));
    stage.hold()?;
    drop(child.stdin.take());
    child.wait().context("cannot wait for the bystander")?;
    Ok(())
}

/// Holds whatever it inherited, and opens nothing.
///
/// # Errors
/// See [`fork_shared`].
pub fn bystander(stage: &mut Stage) -> Result<()> {
    stage.hold()
}

/// One socket under two descriptors of one process.
///
/// # Errors
/// See [`fork_shared`].
pub fn dup(stage: &mut Stage) -> Result<()> {
    let (port, _server) = idle_listener(3)?;
    let opened = Opened::many(3, || leak_shared(port))?;
    let copies = opened.streams.iter().map(TcpStream::try_clone).collect::<std::io::Result<Vec<_>>>()?;
    stage.expect(idle_class(stage, &opened, port).held_by(&[stage.pid(), stage.pid()]));
    stage.hold()?;
    drop(copies);
    Ok(())
}

/// Closed at one of two descriptors: still open, still held.
///
/// # Errors
/// See [`fork_shared`].
pub fn dup_closed(stage: &mut Stage) -> Result<()> {
    let (port, _server) = idle_listener(3)?;
    let mut opened = Opened::many(3, || leak_shared(port))?;
    let copies = opened.streams.iter().map(TcpStream::try_clone).collect::<std::io::Result<Vec<_>>>()?;
    opened.streams.clear();
    stage.expect(idle_class(stage, &opened, port).held_by(&[stage.pid()]));
    stage.hold()?;
    drop(copies);
    Ok(())
}

/// Handed to another process over a unix socket, then closed here.
///
/// # Errors
/// See [`fork_shared`].
pub fn scm_rights(stage: &mut Stage) -> Result<()> {
    let (port, _server) = idle_listener(3)?;
    let (ours, theirs) = UnixStream::pair().context("cannot make a unix socket pair")?;
    let mut holder = Peer::spawn(move |_| receive_descriptors(&theirs, 3))?;
    let mut opened = Opened::many(3, || leak_shared(port))?;
    send_descriptors(&ours, &opened.streams)?;
    opened.streams.clear();
    holder.wait()?;
    stage.expect(idle_class(stage, &opened, port).held_by(&[holder.pid()]));
    stage.hold()
}

/// Sent over a unix socket that is not read, then closed here: open, and held by no process.
///
/// # Errors
/// See [`fork_shared`].
pub fn scm_rights_in_flight(stage: &mut Stage) -> Result<()> {
    let (port, _server) = idle_listener(3)?;
    let (ours, theirs) = UnixStream::pair().context("cannot make a unix socket pair")?;
    let mut opened = Opened::many(3, || leak_shared(port))?;
    send_descriptors(&ours, &opened.streams)?;
    opened.streams.clear();
    stage.expect(idle_class(stage, &opened, port).held_by(&[]));
    stage.hold()?;
    drop(theirs);
    Ok(())
}

/// The opener dies; the process that it handed its sockets to goes on.
///
/// # Errors
/// See [`fork_shared`].
pub fn opener_gone(stage: &mut Stage) -> Result<()> {
    let listener: TcpListener = listener()?;
    let port = port_of(&listener)?;
    let _server = guarded_answerer(listener, 3)?;
    let (ours, theirs) = UnixStream::pair().context("cannot make a unix socket pair")?;
    let mut opener = Peer::spawn(|_| {
        let opened = Opened::many(3, || leak_shared(port))?;
        send_descriptors(&theirs, &opened.streams)
    })?;
    opener.wait()?;
    let kept = receive_descriptors(&ours, 3)?;
    let pid = opener.pid();
    let leaker = Expect::connected("leaker", pid, port).function("leak_shared").count(3);
    let leaker = leaker.verdicts(&["idle-unguarded"]);
    stage.expect(leaker.clone().held_by(&[pid, stage.pid()]));
    stage.ready()?;
    // The opener runs until the tracer has sampled it.
    if !stage.cue("sampled")? {
        return Ok(());
    }
    opener.end(Signal::SIGKILL)?;
    stage.forget();
    stage.expect(leaker.held_by(&[stage.pid()]));
    stage.ready()?;
    stage.hold()?;
    drop(kept);
    Ok(())
}

fn send_descriptors(channel: &UnixStream, streams: &[TcpStream]) -> Result<()> {
    let descriptors: Vec<RawFd> = streams.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&descriptors)];
    sendmsg::<()>(channel.as_raw_fd(), &[IoSlice::new(b".")], &rights, MsgFlags::empty(), None)
        .context("cannot send descriptors")?;
    Ok(())
}

fn receive_descriptors(channel: &UnixStream, count: usize) -> Result<Vec<OwnedFd>> {
    let mut byte = [0];
    let mut space = nix::cmsg_space!([RawFd; 16]);
    let mut received = Vec::new();
    let mut parts = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(channel.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty())
        .context("cannot receive descriptors")?;
    for control in message.cmsgs().context("the descriptors were cut off")? {
        if let ControlMessageOwned::ScmRights(descriptors) = control {
            received.extend(descriptors.into_iter().map(own));
        }
    }
    anyhow::ensure!(received.len() == count, "{} descriptors came, not {count}", received.len());
    Ok(received)
}

fn own(descriptor: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us, and no other code has its number.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}
