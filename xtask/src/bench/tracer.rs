//! A leaktrace at work while something else is measured: when it was ready, what it took, and its end.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::ops::Sub;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::project;

/// A clock tick of `/proc/PID/stat`: the kernel shows a hundred a second on every architecture that BPF hooks work on.
const TICK: Duration = Duration::from_millis(10);

/// The program that is measured.
pub struct Subject {
    /// Its path.
    pub program: PathBuf,
    /// What every run of it gets on top.
    pub arguments: Vec<OsString>,
}

/// Which leaktrace it is, and what it does on this host.
pub struct Identity {
    version: String,
    hooks: String,
}

impl Subject {
    /// Asks the program itself, with a report of no duration.
    pub fn identity(&self) -> Result<Identity> {
        let report = project::output_of(
            self.command("report", &["--duration", "0s", "--format", "json"]).stderr(Stdio::null()),
        )?;
        let report: Value = serde_json::from_str(&report).context("leaktrace's report is no JSON")?;
        let text = |pointer| report.pointer(pointer).and_then(Value::as_str).unwrap_or("unknown").to_owned();
        Ok(Identity { version: text("/tool/version"), hooks: text("/health/hooks") })
    }

    /// Starts it with its output in our pipe, and returns when the first of it has come.
    pub fn start(&self, subcommand: &str, options: &[&str]) -> Result<Tracer> {
        let begun = Instant::now();
        let mut child = self
            .command(subcommand, options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let mut output = child.stdout.take().context("leaktrace has no standard output")?;
        let mut first = [0; 1];
        let read = output.read(&mut first);
        let to_first_table = begun.elapsed();
        let tracer = Tracer { child, to_first_table };
        if !matches!(read, Ok(1)) {
            bail!("leaktrace ended without a table; run `{} {subcommand}` to see why", self.program.display());
        }
        // Nobody reads the tables, yet a full pipe would stop leaktrace.
        thread::spawn(move || io::copy(&mut output, &mut io::sink()));
        Ok(tracer)
    }

    fn command(&self, subcommand: &str, options: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(subcommand).args(options).args(&self.arguments);
        command
    }
}

impl Identity {
    /// As in the JSON of every benchmark.
    pub fn to_json(&self) -> Value {
        json!({ "version": self.version, "hooks": self.hooks })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "leaktrace {}, {} hooks", self.version, self.hooks)
    }
}

/// A running leaktrace; it is ended when this is dropped.
pub struct Tracer {
    child: Child,
    /// From before fork and exec to the first byte of output.
    pub to_first_table: Duration,
}

impl Tracer {
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
        Resident::parse(&status).with_context(|| format!("no VmHWM and VmRSS in {path}: leaktrace has ended"))
    }

    /// An error if it ended by itself: then what was measured was not traced.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("leaktrace ended during the run: {status}"),
            None => Ok(()),
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // SIGKILL is enough: nothing of leaktrace stays in the kernel after it, and no run may begin before it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
