//! Signals around the command: what is sent to leaktrace is meant for the command, and when that stops or ends is told.

use leaktrace_kernel::host::process_text;
use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, SigmaskHow, Signal, kill, raise, sigprocmask},
        signalfd::SignalFd,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use std::{io, thread};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Signals that are passed on.
const PASSED_ON: [Signal; 9] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGTSTP,
    Signal::SIGCONT,
];

/// Those of them that end the wait for what runs on in the background.
const ASK_TO_END: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// By which a terminal stops a job. Whoever stops the command alone, by SIGSTOP, will let it go on alone: nobody would wake
/// leaktrace.
const STOPS_A_JOB: [Signal; 3] = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];

/// `SI_KERNEL` (include/uapi/asm-generic/siginfo.h): sent by the terminal, and so to the command as well.
const SI_KERNEL: i32 = 0x80;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Killed(Signal),
}

impl Ended {
    /// As a shell gives it.
    pub fn status(self) -> u8 {
        match self {
            Self::Exited(status) => status.to_le_bytes()[0],
            Self::Killed(signal) => 128_u8.saturating_add((signal as i32).to_le_bytes()[0]),
        }
    }
}

/// What happens to the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It has ended.
    Ended(Ended),
    /// It has ended before, and leaktrace was asked to end as well.
    Asked,
}

/// Signals held back from the threads of this process.
pub struct Signals {
    before: SigSet,
    held: SigSet,
}

impl Signals {
    /// Holds them back. To be called before there is another thread.
    ///
    /// # Errors
    /// Those of the system.
    pub fn hold() -> io::Result<Self> {
        // Where SIGCHLD is ignored, the kernel forgets how a child has ended.
        // SAFETY: the default disposition is no handler.
        unsafe { nix::sys::signal::signal(Signal::SIGCHLD, nix::sys::signal::SigHandler::SigDfl) }?;
        let mut held: SigSet = PASSED_ON.into_iter().collect();
        held.add(Signal::SIGCHLD);
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&held), Some(&mut before))?;
        Ok(Self { before, held })
    }

    /// The mask that leaktrace was started with, which is the command's.
    pub fn mask(&self) -> SigSet {
        self.before
    }

    /// Passes signals on to the command from now on, and tells how it ends.
    ///
    /// # Errors
    /// Those of the system.
    pub fn pass_on(self, pid: u32) -> io::Result<UnboundedReceiver<Event>> {
        let signals = SignalFd::new(&self.held)?;
        let (tell, events) = unbounded_channel();
        thread::Builder::new().name("signals".to_owned()).spawn(move || attend(&signals, pid, &tell))?;
        Ok(events)
    }
}

fn attend(signals: &SignalFd, pid: u32, tell: &UnboundedSender<Event>) {
    let command = Pid::from_raw(pid.cast_signed());
    let mut runs = true;
    loop {
        if runs && let Some(ended) = look_after(command) {
            runs = false;
            if tell.send(Event::Ended(ended)).is_err() {
                return;
            }
        }
        let info = match signals.read_signal() {
            Ok(Some(info)) => info,
            Ok(None) | Err(Errno::EINTR) => continue,
            Err(_) => return,
        };
        let Ok(signal) = Signal::try_from(info.ssi_signo.cast_signed()) else { continue };
        if signal == Signal::SIGCHLD {
            continue;
        }
        if runs {
            // What the tree itself sends to its group or its parent must not come back to it.
            if info.ssi_code != SI_KERNEL && !descends(info.ssi_pid, pid) {
                let _ = kill(command, signal);
            }
        } else if ASK_TO_END.contains(&signal) && tell.send(Event::Asked).is_err() {
            return;
        }
    }
}

/// Takes note of what has become of the command. While it is stopped as a job, so is leaktrace: the shell must see its job stop.
fn look_after(command: Pid) -> Option<Ended> {
    loop {
        let what = waitpid(command, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED));
        match what {
            Ok(WaitStatus::Exited(_, status)) => return Some(Ended::Exited(status)),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Some(Ended::Killed(signal)),
            Ok(WaitStatus::Stopped(_, signal)) => {
                if STOPS_A_JOB.contains(&signal) {
                    let _ = raise(Signal::SIGSTOP);
                }
            }
            Err(Errno::EINTR) => {}
            // Nobody else waits for it, so this cannot be; a command that is gone has ended.
            Err(_) => return Some(Ended::Exited(0)),
            Ok(_) => return None,
        }
    }
}

/// Whether a process is the command or descends from it.
fn descends(mut pid: u32, command: u32) -> bool {
    // No chain of parents is longer than this.
    for _ in 0..256 {
        if pid == command {
            return true;
        }
        match parent_of(pid) {
            Some(parent) if parent > 1 => pid = parent,
            _ => return false,
        }
    }
    false
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = process_text(pid, "stat")?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_as_a_shell_gives_it() {
        assert_eq!(Ended::Exited(3).status(), 3);
        assert_eq!(Ended::Killed(Signal::SIGSEGV).status(), 139);
    }

    #[test]
    fn this_process_descends_from_its_parent() {
        let (own, parent) = (std::process::id(), std::os::unix::process::parent_id());
        assert!(descends(own, own) && descends(own, parent) && !descends(parent, own));
    }
}
