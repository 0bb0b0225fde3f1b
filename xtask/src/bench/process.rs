//! A process that is watched while a benchmark runs: its processor time, its memory, what it holds in the kernel, and its end.

use std::fs;
use std::io;
use std::ops::Sub;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::bpf::{self, Program};

/// A clock tick of `/proc/PID/stat`: the kernel shows a hundred a second on every architecture that BPF hooks work on.
const TICK: Duration = Duration::from_millis(10);

/// Has a program end with the thread that starts it: killed or crashed, we could not end it, and it would go on for hours.
pub fn end_with_us(command: &mut Command) -> &mut Command {
    let end_with_parent = || {
        // SAFETY: the call takes numbers only.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: one system call between fork and exec.
    unsafe { command.pre_exec(end_with_parent) }
}

/// A running program; it is ended when this is dropped.
pub struct Running {
    child: Child,
    name: String,
}

impl Running {
    /// Takes over a child; `name` is for messages.
    pub fn new(child: Child, name: &str) -> Self {
        Self { child, name: name.to_owned() }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, as ^C does.
    pub fn interrupt(&self) -> Result<()> {
        let id = libc::pid_t::try_from(self.child.id())?;
        // SAFETY: the call has no conditions; the process is a child of ours that was not waited for, so the id is its own.
        let outcome = unsafe { libc::kill(id, libc::SIGINT) };
        ensure!(outcome == 0, "cannot interrupt {}: {}", self.name, io::Error::last_os_error());
        Ok(())
    }

    /// Waits for its end, for so long at most.
    pub fn wait_for_end(&mut self, longest: Duration) -> Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.end()? {
                return Ok(status);
            }
            ensure!(begun.elapsed() < longest, "{} has not ended within {} s", self.name, longest.as_secs());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Processor time of all its threads since it started.
    pub fn cpu(&self) -> Result<Cpu> {
        let path = format!("/proc/{}/stat", self.child.id());
        let line = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        Cpu::parse(&line).with_context(|| format!("{path} is not as proc(5) says"))
    }

    /// Its resident memory.
    pub fn resident(&self) -> Result<Resident> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        // A process that ended has a status and no memory.
        Resident::parse(&status).with_context(|| format!("no VmHWM and VmRSS in {path}: {} has ended", self.name))
    }

    /// Memory of the BPF maps it has open, in bytes.
    pub fn map_bytes(&self) -> Result<u64> {
        bpf::map_bytes_of(self.child.id())
    }

    /// The BPF programs it has open.
    pub fn programs(&self) -> Result<Vec<Program>> {
        bpf::programs_of(self.child.id())
    }

    /// How it ended, if it did.
    pub fn end(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot ask how {} is doing", self.name))
    }

    /// An error if it ended by itself: then what was measured was not traced.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.end()? {
            Some(status) => bail!("{} ended during the run: {status}", self.name),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGKILL is enough: nothing of a tracer stays in the kernel after it, and no run may begin before it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a child to end, and tells the processor time it took.
pub fn wait_with_cpu(child: Child) -> Result<(ExitStatus, Duration)> {
    let id = libc::pid_t::try_from(child.id())?;
    let mut status = 0;
    // SAFETY: zeros are a value of this structure of numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to variables of ours; no other code waits for this child.
        if unsafe { libc::wait4(id, &raw mut status, 0, &raw mut usage) } == id {
            break;
        }
        let error = io::Error::last_os_error();
        ensure!(error.kind() == io::ErrorKind::Interrupted, "cannot wait for a child: {error}");
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let cpu = Duration::from_secs_f64(seconds(usage.ru_utime) + seconds(usage.ru_stime));
    Ok((ExitStatus::from_raw(status), cpu))
}

/// Resident memory, pages of the program's own file included, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Now.
    pub now: u64,
    /// The most there ever was.
    pub peak: u64,
}

impl Resident {
    /// `VmRSS` and `VmHWM` of `/proc/PID/status`.
    fn parse(status: &str) -> Option<Self> {
        let bytes = |name| {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
        };
        Some(Self { now: bytes("VmRSS:")?, peak: bytes("VmHWM:")? })
    }
}

/// Processor time, to a clock tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// In the program.
    pub user: Duration,
    /// In the kernel on its behalf.
    pub system: Duration,
}

impl Cpu {
    /// Fields 14 and 15 of `/proc/PID/stat`; the name, field 2, may hold anything, also spaces and parentheses.
    fn parse(line: &str) -> Option<Self> {
        let (_, fields) = line.rsplit_once(')')?;
        let mut ticks = fields.split_whitespace().skip(11).map(|word| word.parse().ok());
        Some(Self { user: TICK * ticks.next()??, system: TICK * ticks.next()?? })
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 2 3 4 150 25 0 0 20 0 3 0 99 1 2";
        let wanted = Cpu { user: Duration::from_millis(1500), system: Duration::from_millis(250) };
        assert_eq!(Cpu::parse(line), Some(wanted));
    }

    #[test]
    fn a_program_ends_with_the_thread_that_started_it() -> Result<()> {
        let started = thread::spawn(|| end_with_us(Command::new("sleep").arg("60")).spawn()).join();
        let child = started.map_err(|_| anyhow::anyhow!("the thread died"))??;
        let end = Running::new(child, "sleep").wait_for_end(Duration::from_secs(30))?;
        ensure!(end.signal() == Some(libc::SIGTERM), "{end}");
        Ok(())
    }

    #[test]
    fn memory_is_in_bytes() {
        let status = "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(Resident::parse(status), Some(Resident { now: 1 << 20, peak: 2 << 20 }));
        assert_eq!(Resident::parse("Name:\ta\n"), None);
    }

    #[test]
    fn a_short_line_is_no_processor_time() {
        assert_eq!(Cpu::parse("7 (a) S 1"), None);
    }
}
