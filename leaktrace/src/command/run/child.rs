//! The process that will become the command: forked, held, and released once it is watched.

use crate::command::owner::Owner;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use std::{
    ffi::OsString,
    io::{self, PipeWriter, Read as _, Write as _},
    os::{fd::AsRawFd, unix::process::CommandExt},
    process::Command,
    thread,
};

/// A forked process that waits to become the command.
pub(crate) struct Held {
    pid: u32,
    gate: PipeWriter,
    starter: thread::JoinHandle<io::Result<()>>,
}

impl Held {
    /// Forks. The command inherits descriptors, environment and process group from this process; its signal mask is
    /// `mask`, and it runs as `owner`, if that is another user.
    ///
    /// # Errors
    /// When no process or descriptor can be created.
    pub(crate) fn fork(words: &[OsString], mask: SigSet, owner: Option<Owner>) -> io::Result<Self> {
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
            // The gate reads as closed when no process has its other end open, so this process closes its copy.
            // SAFETY: the descriptor was inherited, and nothing in this process uses it.
            unsafe { libc::close(opener_here) };
            handle.write_all(&std::process::id().to_ne_bytes())?;
            gate.read_exact(&mut [0])
        };
        // SAFETY: the closure makes only system calls between fork and exec: none of them allocates or locks.
        unsafe { command.pre_exec(wait) };
        if let Some(owner) = owner {
            owner.take_over_whole(&mut command);
        }
        // `spawn` returns when the command runs, so another thread calls it.
        let starter = thread::Builder::new().name("starter".to_owned()).spawn(move || {
            // The closure keeps the other ends of the pipes open for as long as this thread needs them.
            command.spawn().map(drop)
        })?;
        let mut pid = [0; 4];
        match name.read_exact(&mut pid) {
            Ok(()) => Ok(Self { pid: u32::from_ne_bytes(pid), gate: opener, starter }),
            Err(error) => Err(starter.join().ok().and_then(Result::err).unwrap_or(error)),
        }
    }

    /// The process id, which the command keeps.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets the process become the command.
    ///
    /// # Errors
    /// Why the command cannot run. The process has ended then, and has been waited for.
    pub(crate) fn release(mut self) -> io::Result<()> {
        // The process may have been killed already. The code that waits for the command finds out.
        let _ = self.gate.write_all(&[1]);
        self.starter.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it ended early")))
    }
}
