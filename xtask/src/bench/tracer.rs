//! A leaktrace at work while something else is measured: which one it is, and when it was ready.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::process::{Running, end_with_us};

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
    /// Kind of hooks, as reports call it.
    pub hooks: String,
}

impl Subject {
    /// Asks the program itself, with a report of no duration.
    pub fn identity(&self) -> Result<Identity> {
        let report = self.report(&["--duration", "0s"])?;
        let text = |pointer| report.pointer(pointer).and_then(Value::as_str).unwrap_or("unknown").to_owned();
        Ok(Identity { version: text("/tool/version"), hooks: text("/health/hooks") })
    }

    /// A report, to its end.
    pub fn report(&self, options: &[&str]) -> Result<Value> {
        let options = [&["--format", "json"], options].concat();
        let output = self.command("report", &options).output();
        let output = output.with_context(|| format!("cannot start {}", self.program.display()))?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "leaktrace's report failed ({}): {}", output.status, words.trim());
        serde_json::from_slice(&output.stdout).context("leaktrace's report is no JSON")
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
        let tracer = Tracer { running: Running::new(child, "leaktrace"), to_first_table };
        if !matches!(read, Ok(1)) {
            bail!("leaktrace ended without a table; run `{} {subcommand}` to see why", self.program.display());
        }
        // The tables are not used, but a full pipe would stop leaktrace.
        thread::spawn(move || io::copy(&mut output, &mut io::sink()));
        Ok(tracer)
    }

    /// The command line of a run.
    pub fn command(&self, subcommand: &str, options: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(subcommand).args(options).args(&self.arguments);
        end_with_us(&mut command);
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
    /// The process.
    pub running: Running,
    /// From before fork and exec to the first byte of output.
    pub to_first_table: Duration,
}
