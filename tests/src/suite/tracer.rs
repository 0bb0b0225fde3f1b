//! Runs leaktrace as its users do: starts it, waits for it, ends it with a signal, reads its report.

use super::bpf::Objects;
use super::report::{Report, read};
use anyhow::{Context, Result, bail};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long start or end may take on an emulated processor: hooks detach only after RCU grace periods, which stall in a busy guest.
const PATIENCE: Duration = Duration::from_secs(300);

/// What `report` prints on stderr when its hooks are attached.
const ATTACHED: &str = "watching";

/// Lets a program start as it would from a terminal. Tests that run in the background may ignore signals, which programs inherit.
/// A process group without a parent in the same session is not stopped by SIGTSTP, so the program gets a group of its own below
/// this process. ^C does not reach that group, so the program is killed when the thread that starts it ends: no tracer outlives
/// the tests.
pub fn as_from_a_terminal(command: &mut Command) {
    let with_default_actions = || {
        for ignored in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP] {
            // SAFETY: the default action runs no code of this program.
            unsafe { signal(ignored, SigHandler::SigDfl) }?;
        }
        Ok(set_pdeathsig(Signal::SIGKILL)?)
    };
    // SAFETY: only system calls between fork and exec.
    unsafe { command.process_group(0).pre_exec(with_default_actions) };
}

/// A running leaktrace; killed on drop.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    /// Reads to the end; taken by the one call that waits for it.
    stdout: Option<std::thread::JoinHandle<std::io::Result<String>>>,
    stderr: Arc<Mutex<String>>,
}

/// What it left behind.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit status.
    pub status: ExitStatus,
    /// Data.
    pub stdout: String,
    /// Words.
    pub stderr: String,
}

impl Outcome {
    /// The report on stdout, and the contract's names that it lacks.
    ///
    /// # Errors
    /// When it failed or printed something else.
    pub fn report(&self) -> Result<(Report, Vec<String>)> {
        if self.status.code() != Some(0) {
            bail!("{}, stderr: {}", self.status, self.stderr.trim());
        }
        read(&self.stdout)
    }
}

impl Tracer {
    /// Starts leaktrace with arguments.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(leaktrace: &Path, arguments: &[&str]) -> Result<Self> {
        Self::start_with(leaktrace, arguments, &[])
    }

    /// Starts leaktrace with arguments and variables.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_with(leaktrace: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        let mut command = Command::new(leaktrace);
        as_from_a_terminal(&mut command);
        let mut child = command
            .args(arguments)
            // The time of a verdict is tested, also on machines on which every sample is expensive: no budget delays it.
            .env("LEAKTRACE_CPU_BUDGET", "0")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", leaktrace.display()))?;
        let mut out = child.stdout.take().context("a child without stdout")?;
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).map(|_| text)
        });
        let err = child.stderr.take().context("a child without stderr")?;
        let stderr = Arc::new(Mutex::new(String::new()));
        let words = Arc::clone(&stderr);
        std::thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                if let Ok(mut words) = words.lock() {
                    words.push_str(&line);
                    words.push('\n');
                }
            }
        });
        Ok(Self { child, stdout: Some(stdout), stderr })
    }

    /// Waits until its hooks are attached; false when it ended instead.
    ///
    /// # Errors
    /// When it does neither.
    pub fn wait_until_attached(&mut self) -> Result<bool> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.words().contains(ATTACHED) {
                return Ok(true);
            }
            if self.child.try_wait().context("cannot wait for leaktrace")?.is_some() {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("leaktrace does not say that it is watching after {} s: {}", PATIENCE.as_secs(), self.words());
    }

    fn words(&self) -> String {
        self.stderr.lock().map(|words| words.clone()).unwrap_or_default()
    }

    /// What it has in the kernel.
    pub fn objects(&self) -> Objects {
        Objects::of(self.child.id())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).context("leaktrace is gone")
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait(mut self) -> Result<Outcome> {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for leaktrace")? {
                break status;
            }
            if start.elapsed() > PATIENCE {
                bail!("leaktrace does not end: {}", self.words());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let reader = self.stdout.take().context("somebody else has waited")?;
        let text = reader.join().map_err(|_| anyhow::anyhow!("the reader died"))?;
        let stdout = text.context("stdout is not UTF-8")?;
        // The other thread may not have read the last lines yet.
        std::thread::sleep(Duration::from_millis(20));
        let stderr = self.stderr.lock().map(|words| words.clone()).unwrap_or_default();
        Ok(Outcome { status, stdout, stderr })
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Neither does anything to a process that was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where leaktrace is: `$LEAKTRACE`, or what cargo built beside this program.
pub fn find() -> Option<PathBuf> {
    let given = std::env::var_os("LEAKTRACE").map(PathBuf::from);
    given.or_else(beside_us).filter(|path| path.is_file())
}

/// The same profile's for a program in `target/PROFILE` or `target/PROFILE/deps`, else any profile's.
fn beside_us() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let target = own.ancestors().find(|folder| folder.ends_with("target")).map(Path::to_owned);
    let near = own.ancestors().skip(1).take(2).map(Path::to_owned);
    let any = target.into_iter().flat_map(|target| [target.join("release"), target.join("debug")]);
    near.chain(any).map(|folder| folder.join("leaktrace")).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{WaitStatus, waitpid};

    /// Anything that runs for a while.
    fn sleeper() -> Result<Tracer> {
        Tracer::start(Path::new("sleep"), &["30"])
    }

    #[test]
    fn a_tracer_that_nobody_awaits_does_not_run_on() -> Result<()> {
        let tracer = sleeper()?;
        let process = Path::new("/proc").join(tracer.pid().to_string());
        assert!(process.exists());
        drop(tracer);
        assert!(!process.exists());
        Ok(())
    }

    #[test]
    fn a_tracer_does_not_outlive_the_thread_that_started_it() -> Result<()> {
        let left = std::thread::spawn(|| sleeper().map(std::mem::ManuallyDrop::new)).join();
        let tracer = left.map_err(|_| anyhow::anyhow!("the thread died"))??;
        let end = waitpid(Pid::from_raw(tracer.pid().cast_signed()), None)?;
        assert!(matches!(end, WaitStatus::Signaled(_, Signal::SIGKILL, _)), "{end:?}");
        Ok(())
    }
}
