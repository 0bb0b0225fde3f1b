//! The command before it runs: forked, held, and let go once everything watches it.

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use std::{
    ffi::OsString,
    io::{self, PipeWriter, Read as _, Write as _},
    os::{fd::AsRawFd, unix::process::CommandExt},
    process::Command,
    thread,
};

/// A process that is forked and waits to become the command.
pub struct Held {
    pid: u32,
    gate: PipeWriter,
    starter: thread::JoinHandle<io::Result<()>>,
}

impl Held {
    /// Forks. The command will have this process's descriptors, environment and process group, and `mask` as its mask of
    /// signals.
    ///
    /// # Errors
    /// When there is no process or descriptor to be had.
    pub fn fork(words: &[OsString], mask: SigSet) -> io::Result<Self> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(io::Error::other("there is no command"));
        };
        let (mut gate, opener) = io::pipe()?;
        let (mut name, mut handle) = io::pipe()?;
        let opener_here = opener.as_raw_fd();
        let mut command = Command::new(program);
        command.args(arguments);
        let wait = move || {
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&mask), None)?;
            // The gate reads as closed once nobody can open it any more: not while this process could.
            // SAFETY: the descriptor was inherited, and nothing in this process uses it.
            unsafe { libc::close(opener_here) };
            handle.write_all(&std::process::id().to_ne_bytes())?;
            gate.read_exact(&mut [0])
        };
        // SAFETY: only system calls between fork and exec: none of these allocates or locks.
        unsafe { command.pre_exec(wait) };
        // Spawning returns when the command runs, so it is another's to wait for that.
        let starter = thread::Builder::new().name("starter".to_owned()).spawn(move || {
            // The thread keeps the pipes' other ends in the closure for as long as it needs them.
            command.spawn().map(drop)
        })?;
        let mut pid = [0; 4];
        match name.read_exact(&mut pid) {
            Ok(()) => Ok(Self { pid: u32::from_ne_bytes(pid), gate: opener, starter }),
            Err(error) => Err(starter.join().ok().and_then(Result::err).unwrap_or(error)),
        }
    }

    /// Its process id, which the command will have.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets it become the command.
    ///
    /// # Errors
    /// Why there is no such command; the process has ended then and has been waited for.
    pub fn release(mut self) -> io::Result<()> {
        // It may have been killed already, which whoever waits for it will learn.
        let _ = self.gate.write_all(&[1]);
        self.starter.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it ended early")))
    }
}
