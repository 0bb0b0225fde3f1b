//! Second processes: the other ends of a program's sockets, alive until the program is not.

use super::net::{answer, guard};
use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

/// Every peer of this process, so that all can be ended before a socket of this process is closed.
static PEERS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Kills every peer, so that none of them complains about the end.
pub fn end_all() {
    if let Ok(mut peers) = PEERS.lock() {
        for pid in peers.drain(..) {
            // Who is gone already needs no signal; who is not is waited for when dropped.
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

/// A forked process that did its work and waits to be killed.
#[derive(Debug)]
pub struct Peer {
    pid: Pid,
    words: PipeReader,
}

/// How a peer tells its parent that it has come far enough.
#[derive(Debug)]
pub struct Bell(PipeWriter);

impl Bell {
    /// Rings once.
    ///
    /// # Errors
    /// When the parent is gone.
    pub fn ring(&mut self) -> Result<()> {
        self.0.write_all(b".").context("the parent is gone")
    }
}

impl Peer {
    /// Forks a process that does `work`, rings, and keeps what `work` returned until it is killed.
    ///
    /// Must be called before the first thread is started: only the calling thread exists in the child.
    ///
    /// # Errors
    /// When no pipe or process can be made.
    pub fn spawn<T>(work: impl FnOnce(&mut Bell) -> Result<T>) -> Result<Self> {
        let (words, bell) = std::io::pipe().context("cannot make a pipe")?;
        // SAFETY: no other thread exists yet, so the child may go on allocating and locking.
        match unsafe { fork() }.context("cannot fork")? {
            ForkResult::Parent { child } => {
                if let Ok(mut peers) = PEERS.lock() {
                    peers.push(child);
                }
                Ok(Self { pid: child, words })
            }
            ForkResult::Child => {
                drop(words);
                Self::live(Bell(bell), work)
            }
        }
    }

    fn live<T>(mut bell: Bell, work: impl FnOnce(&mut Bell) -> Result<T>) -> ! {
        let tied = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("cannot tie the peer to its parent");
        let kept = tied.and_then(|()| work(&mut bell)).and_then(|kept| bell.ring().map(|()| kept));
        match kept {
            Ok(_kept) => loop {
                nix::unistd::pause();
            },
            Err(error) => {
                eprintln!("scenarios: peer: {error:#}");
                std::process::exit(3)
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Waits for its bell.
    ///
    /// # Errors
    /// When it died instead.
    pub fn wait(&mut self) -> Result<()> {
        let mut byte = [0];
        if self.words.read(&mut byte).context("cannot hear the peer")? == 0 {
            bail!("the peer ended early");
        }
        Ok(())
    }

    /// Ends it with a signal and waits until it is gone.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn end(self, signal: Signal) -> Result<()> {
        if let Ok(mut peers) = PEERS.lock() {
            peers.retain(|pid| *pid != self.pid);
        }
        kill(self.pid, signal).context("cannot signal the peer")?;
        waitpid(self.pid, None).context("cannot wait for the peer")?;
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Nothing to be done about a peer that is gone already.
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}

/// A peer that accepts `count` connections, serves each, keeps those that `serve` hands back, and rings.
///
/// # Errors
/// Those of [`Peer::spawn`].
pub fn server(
    listener: TcpListener,
    count: usize,
    mut serve: impl FnMut(TcpStream) -> Result<Option<TcpStream>>,
) -> Result<Peer> {
    Peer::spawn(move |_| {
        let mut kept = Vec::new();
        for _ in 0..count {
            kept.extend(serve(accept_connection(&listener)?)?);
        }
        Ok((listener, kept))
    })
}

/// The only place where peers accept.
///
/// # Errors
/// That of accept.
#[inline(never)]
pub fn accept_connection(listener: &TcpListener) -> Result<TcpStream> {
    let (stream, _) = listener.accept().context("cannot accept")?;
    Ok(stream)
}

/// A peer that answers the greeting and has keepalive on.
///
/// # Errors
/// When no process can be made.
pub fn guarded_answerer(listener: TcpListener, count: usize) -> Result<Peer> {
    server(listener, count, |mut stream| {
        guard(&stream)?;
        answer(&mut stream)?;
        Ok(Some(stream))
    })
}
