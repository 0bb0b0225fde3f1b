//! The programs that put this host under load, from `tests/src/bin`: built once, run as often as needed.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::project;

/// Builds those that a figure needs.
pub fn build(programs: &[&str]) -> Result<()> {
    let mut build = project::cargo();
    build.args(["build", "--release", "--package", "leaktrace-tests"]);
    for program in programs {
        build.args(["--bin", program]);
    }
    project::must_run(&mut build)
}

/// Runs one to its end.
pub fn run(program: &str, options: &[&str]) -> Result<Report> {
    let line = project::output_of(Command::new(project::release_program(program)).args(options))?;
    let value = serde_json::from_str(&line).with_context(|| format!("{program} printed no JSON"))?;
    Ok(Report { program: program.to_owned(), value })
}

/// What a program says of itself in a line of JSON.
pub struct Report {
    program: String,
    value: Value,
}

impl Report {
    /// A number of it.
    pub fn figure(&self, name: &str) -> Result<f64> {
        self.value[name].as_f64().with_context(|| format!("{} printed no {name}", self.program))
    }
}

/// How long a crowd stays at most: a day, longer than any benchmark. The end of its input ends it, also when we die.
const LONGEST_SECONDS: &str = "86400";

/// Open sockets that do nothing, on loopback; closed when this is dropped.
pub struct Crowd {
    child: Child,
    /// How many there are.
    pub sockets: u64,
}

impl Crowd {
    /// Opens that many, or none.
    pub fn open(sockets: u64) -> Result<Option<Self>> {
        if sockets == 0 {
            return Ok(None);
        }
        eprintln!("opens {sockets} sockets");
        let mut child = Command::new(project::release_program("crowd"))
            .args(["--sockets", &sockets.to_string(), "--seconds", LONGEST_SECONDS])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start crowd")?;
        let output = child.stdout.take().context("crowd has no output")?;
        let mut crowd = Self { child, sockets };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context("cannot hear from crowd")?;
        ensure!(!line.is_empty(), "crowd could not open {sockets} sockets: it says why above");
        let report: Value = serde_json::from_str(&line).context("crowd printed no JSON")?;
        crowd.sockets = report["sockets"].as_u64().context("crowd printed no sockets")?;
        Ok(Some(crowd))
    }

    /// An error if it has ended: then the sockets were not there for the whole measurement.
    pub fn still_there(&mut self) -> Result<()> {
        match self.child.try_wait().context("cannot ask how the crowd is doing")? {
            Some(status) => bail!("the {} sockets were closed during the run: crowd ended, {status}", self.sockets),
            None => Ok(()),
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // The end of its input ends it and its children; it waits for them, so that the next one finds their ports free.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_that_has_gone_is_noticed() -> Result<()> {
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let mut crowd = Crowd { child, sockets: 10 };
        crowd.still_there()?;
        drop(crowd.child.stdin.take());
        crowd.child.wait()?;
        assert!(crowd.still_there().is_err_and(|error| error.to_string().starts_with("the 10 sockets were closed")));
        Ok(())
    }
}
