//! Starting and ending helper processes. A helper is this program again, under another name.

use super::channel::Channel;
use std::{
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Child, Command, Stdio},
};

/// Name of the process that makes sense of bytes, in place of the program's.
pub(crate) const NAMER: &str = "leaktrace-namer";

/// Name of the process that opens files and reads memory.
pub(crate) const FETCHER: &str = "leaktrace-fetcher";

/// Makes helpers print their panics, for people who look for a fault in one.
const VERBOSE: &str = "LEAKTRACE_HELPER_STDERR";

/// A running namer and its fetcher. Both are started and ended together: neither is of use without the other.
#[derive(Debug)]
pub(crate) struct Pair {
    children: [Child; 2],
    /// The line to the namer.
    pub(crate) channel: Channel,
}

impl Pair {
    /// Starts both.
    ///
    /// # Errors
    /// Those of `socketpair(2)`, `fork(2)` and `execve(2)`.
    pub(crate) fn start() -> io::Result<Self> {
        let (channel, of_namer) = Channel::pair()?;
        let (to_fetcher, of_fetcher) = Channel::pair()?;
        let mut fetcher = start(FETCHER, of_fetcher, Stdio::null())?;
        match start(NAMER, of_namer, to_fetcher.into_descriptor().into()) {
            Ok(namer) => Ok(Self { children: [namer, fetcher], channel }),
            Err(error) => {
                // Its line is closed, so it ends by itself too.
                let _ = fetcher.kill().and_then(|()| fetcher.wait());
                Err(error)
            }
        }
    }

    /// Ends both, without waiting: a process in an uninterruptible wait does not end now.
    pub(crate) fn end(self) -> Ending {
        let mut children = self.children;
        for child in &mut children {
            // Fails if it has ended already.
            let _ = child.kill();
        }
        Ending(children)
    }
}

/// Starts a helper. Its standard input is the line on which it is asked, its standard output the one on which it asks.
fn start(name: &str, asked: OwnedFd, asks: Stdio) -> io::Result<Child> {
    let stderr = if std::env::var_os(VERBOSE).is_some() { Stdio::inherit() } else { Stdio::null() };
    // The link leads to the running program even if its file was replaced since.
    let mut command = Command::new("/proc/self/exe");
    command.arg0(name).env_clear().current_dir("/").stdin(asked).stdout(asks).stderr(stderr);
    command.spawn()
}

/// Helpers that are ending.
#[derive(Debug)]
pub(crate) struct Ending([Child; 2]);

impl Ending {
    /// Whether both are gone. Must be asked, or they stay as zombies.
    pub(crate) fn is_gone(&mut self) -> bool {
        self.0.iter_mut().all(|child| !matches!(child.try_wait(), Ok(None)))
    }
}
