//! Signals of a run: passes on to the command what is sent to leaktrace, and reports when the command stops or ends.

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

/// Those that also end the wait for background processes.
const ASK_TO_END: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// Signals by which a terminal stops a job. SIGSTOP is missing on purpose: sent to the command alone, it stops the
/// command alone, because nothing would wake leaktrace again.
const STOPS_A_JOB: [Signal; 3] = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];

/// `SI_KERNEL` (include/uapi/asm-generic/siginfo.h): the terminal sent the signal, and sent it to the command as well.
const SI_KERNEL: i32 = 0x80;

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Killed(Signal),
}

impl Ended {
    /// The exit status as a shell gives it.
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Exited(status) => status.to_le_bytes()[0],
            Self::Killed(signal) => 128_u8.saturating_add((signal as i32).to_le_bytes()[0]),
        }
    }
}

/// What happens to the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It has ended.
    Ended(Ended),
    /// It has ended before, and now leaktrace was asked to end.
    AskedToEnd,
}

/// Signals that the threads of this process block.
pub(crate) struct Signals {
    before: SigSet,
    held: SigSet,
}

impl Signals {
    /// Blocks them. Must be called before a second thread starts.
    ///
    /// # Errors
    /// Errors of the system calls.
    pub(crate) fn hold() -> io::Result<Self> {
        // If SIGCHLD is ignored, the kernel does not keep how a child ended.
        // SAFETY: the default disposition runs no handler.
        unsafe { nix::sys::signal::signal(Signal::SIGCHLD, nix::sys::signal::SigHandler::SigDfl) }?;
        let mut held: SigSet = PASSED_ON.into_iter().collect();
        held.add(Signal::SIGCHLD);
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&held), Some(&mut before))?;
        Ok(Self { before, held })
    }

    /// The signal mask that leaktrace was started with. The command gets it.
    pub(crate) fn mask(&self) -> SigSet {
        self.before
    }

    /// Passes signals on to the command from now on, and reports when the command ends.
    ///
    /// # Errors
    /// Errors of the system calls.
    pub(crate) fn pass_on(self, pid: u32) -> io::Result<UnboundedReceiver<Event>> {
        let signals = SignalFd::new(&self.held)?;
        let (sender, events) = unbounded_channel();
        thread::Builder::new().name("signals".to_owned()).spawn(move || forward(&signals, pid, &sender))?;
        Ok(events)
    }
}

fn forward(signals: &SignalFd, pid: u32, sender: &UnboundedSender<Event>) {
    let command = Pid::from_raw(pid.cast_signed());
    let mut runs = true;
    loop {
        if runs && let Some(ended) = poll_command(command) {
            runs = false;
            if sender.send(Event::Ended(ended)).is_err() {
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
            // A signal that the tree itself sends to its group or its parent must not come back to it.
            if info.ssi_code != SI_KERNEL && !descends(info.ssi_pid, pid) {
                let _ = kill(command, signal);
            }
        } else if ASK_TO_END.contains(&signal) && sender.send(Event::AskedToEnd).is_err() {
            return;
        }
    }
}

/// Takes in changes of the command's state. When the command is stopped as a job, leaktrace stops too, so that the
/// shell sees its job stop.
fn poll_command(command: Pid) -> Option<Ended> {
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
            // No other code waits for the command, so this does not happen; a command that is gone has ended.
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
