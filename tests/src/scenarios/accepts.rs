//! A hundred threads blocked in accept on one listener: none of their sockets may be lost.

use super::net::{answer, guard, hear, listener, loopback, port_of, say};
use super::peer::{Peer, accept_connection};
use super::stage::{Opened, Stage};
use super::stories::{raise_descriptor_limit, thread};
use crate::truth::{Expect, Opener};
use anyhow::{Context, Result};
use std::io::{PipeWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

const THREADS: usize = 100;
/// Every thread accepts more than once.
const CONNECTIONS: usize = 250;

/// The threads block after the tracer came: every socket has an opener.
///
/// # Errors
/// When sockets or threads cannot be made; the same for every program.
pub fn hundred_accepts(stage: &mut Stage) -> Result<()> {
    let crowd = Crowd::gather(stage)?;
    crowd.connect(stage, Opener::Certain)
}

/// The threads block before the tracer comes and accept afterwards, on the word `go`.
///
/// # Errors
/// See [`hundred_accepts`].
pub fn accepts_begun_before(stage: &mut Stage) -> Result<()> {
    let crowd = Crowd::gather(stage)?;
    stage.ready()?;
    if !stage.cue("go")? {
        return Ok(());
    }
    crowd.connect(stage, Opener::PerhapsUnknown)
}

struct Crowd {
    port: u16,
    clients: Peer,
    start: PipeWriter,
    accepted: Receiver<TcpStream>,
}

impl Crowd {
    /// Starts the client process, which waits, and the threads, which block in accept.
    fn gather(_stage: &Stage) -> Result<Self> {
        raise_descriptor_limit(4_096)?;
        let listener = listener()?;
        let port = port_of(&listener)?;
        let (mut signal, start) = std::io::pipe().context("cannot make a pipe")?;
        let clients = Peer::spawn(move |_| {
            signal.read_exact(&mut [0]).context("the parent is gone")?;
            let mut opened = Opened::many(CONNECTIONS, || Ok(TcpStream::connect(loopback(port))?))?;
            // Threads accept in any order, so all must have spoken before any is answered.
            for stream in &mut opened.streams {
                guard(stream)?;
                say(stream, 1)?;
            }
            opened.streams.iter_mut().try_for_each(|stream| hear(stream, 1))?;
            Ok(opened)
        })?;
        let listener = Arc::new(listener);
        let (sender, accepted) = channel();
        for _ in 0..THREADS {
            let (listener, sender) = (Arc::clone(&listener), sender.clone());
            thread(move || accept_for_ever(&listener, &sender))?;
        }
        await_blocked_threads(THREADS)?;
        Ok(Self { port, clients, start, accepted })
    }

    fn connect(mut self, stage: &mut Stage, opener: Opener) -> Result<()> {
        self.start.write_all(b".").context("the clients are gone")?;
        let mut kept = Vec::new();
        while kept.len() < CONNECTIONS {
            let mut stream = self.accepted.recv().context("every thread gave up")?;
            guard(&stream)?;
            answer(&mut stream)?;
            kept.push(stream);
        }
        self.clients.wait()?;
        stage.forget();
        let leaker = Expect::accepted("leaker", stage.pid(), self.port).count(CONNECTIONS).opener(opener);
        let leaker = match opener {
            Opener::Certain => leaker.function("accept_connection"),
            _ => leaker,
        };
        stage.expect(leaker);
        stage.expect(Expect::connected("peer", self.clients.pid(), self.port).count(CONNECTIONS));
        stage.ready()?;
        stage.hold()?;
        drop(kept);
        Ok(())
    }
}

/// Waits until `count` threads of this process are inside accept(2).
fn await_blocked_threads(count: usize) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let accepts = [nix::libc::SYS_accept, nix::libc::SYS_accept4].map(|number| format!("{number} "));
    let is_inside = |thread: &std::fs::DirEntry| {
        let call = std::fs::read_to_string(thread.path().join("syscall")).unwrap_or_default();
        accepts.iter().any(|accept| call.starts_with(accept))
    };
    loop {
        let threads = std::fs::read_dir("/proc/self/task").context("cannot list the threads")?;
        let inside = threads.flatten().filter(is_inside).count();
        if inside >= count {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "{inside} of {count} threads are in accept after a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn accept_for_ever(listener: &TcpListener, sender: &Sender<TcpStream>) -> Result<()> {
    loop {
        if sender.send(accept_connection(listener)?).is_err() {
            return Ok(());
        }
    }
}
