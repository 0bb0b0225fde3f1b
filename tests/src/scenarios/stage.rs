//! What every scenario program stands on: it collects the truth, prints it, and ends with stdin or after a bounded time.

use crate::truth::{Expect, ProcessTruth, SocketTruth, Truth};
use anyhow::{Context, Result};
use std::io::{BufRead, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// No program runs longer than this, also when the suite is killed, unless [`LIFE_VARIABLE`] says otherwise. A slow machine starts
/// dozens of programs one after the other and then watches all of them.
const LIFE_SECONDS: u32 = 1800;

/// The environment variable that says how many seconds a program may live instead.
pub const LIFE_VARIABLE: &str = "SCENARIO_LIFE_SECONDS";

/// Classes up to this size name every socket.
const NAMED_SOCKETS: usize = 64;

/// How long conditions must last under the suite's settings; controls stay below them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `--stall` of the tracer.
    pub stall: Duration,
    /// `--idle` of the tracer.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { stall: Duration::from_secs(2), idle: Duration::from_secs(3) }
    }
}

/// Set once the suite wants the program to end: from then on broken connections are expected.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Says on stderr what went wrong in a thread, unless the program is ending anyway.
pub fn complain(error: &anyhow::Error) {
    if !ENDING.load(Ordering::Relaxed) {
        eprintln!("scenarios: thread: {error:#}");
    }
}

/// Ends peers first. Connections that break from now on are expected.
fn end() {
    ENDING.store(true, Ordering::Relaxed);
    super::peer::end_all();
}

/// One run of one program.
#[derive(Debug)]
pub struct Stage {
    truth: Truth,
    comm: String,
    announced: bool,
    /// What the suite's tracer is set to.
    pub limits: Limits,
}

impl Stage {
    /// A stage for the named program; from now on the time that the process may live runs.
    pub fn new(program: &str, limits: Limits) -> Self {
        let life = std::env::var(LIFE_VARIABLE).ok().and_then(|text| text.parse().ok());
        nix::unistd::alarm::set(life.unwrap_or(LIFE_SECONDS));
        let truth = Truth { program: program.into(), pid: std::process::id(), ..Truth::default() };
        Self { truth, comm: own_name(), announced: false, limits }
    }

    /// This process.
    pub fn pid(&self) -> u32 {
        self.truth.pid
    }

    /// Adds a class of sockets to the truth.
    pub fn expect(&mut self, mut class: Expect) {
        class.comm.get_or_insert_with(|| self.comm.clone());
        self.truth.expect.push(class);
    }

    /// Takes back all classes: after a cue the truth is another.
    pub fn forget(&mut self) {
        self.truth.expect.clear();
    }

    /// Adds a process whose descriptors must be counted right.
    pub fn expect_process(&mut self, process: ProcessTruth) {
        self.truth.processes.push(process);
    }

    /// Prints the truth: everything is in place.
    ///
    /// # Errors
    /// When stdout is gone.
    pub fn ready(&mut self) -> Result<()> {
        self.truth.ready = true;
        self.announced = true;
        self.print()
    }

    /// Prints that the program cannot run here.
    ///
    /// # Errors
    /// When stdout is gone.
    pub fn skip(&mut self, why: &str) -> Result<()> {
        self.truth.skip = Some(why.to_owned());
        self.truth.expect.clear();
        self.print()
    }

    /// Waits for the suite's next word; false when it wants the program to end instead.
    ///
    /// # Errors
    /// When stdin cannot be read or says something else.
    pub fn cue(&mut self, word: &str) -> Result<bool> {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line).context("cannot read stdin")?;
        if read == 0 {
            end();
            return Ok(false);
        }
        anyhow::ensure!(line.trim() == word, "expected the word {word}, got {line:?}");
        Ok(true)
    }

    /// Prints the truth unless that is done, then waits until stdin closes.
    ///
    /// # Errors
    /// When stdout is gone or stdin cannot be read.
    pub fn hold(&mut self) -> Result<()> {
        if !self.announced {
            self.ready()?;
        }
        std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()).context("cannot read stdin")?;
        end();
        Ok(())
    }

    fn print(&self) -> Result<()> {
        let line = serde_json::to_string(&self.truth).context("cannot write the truth")?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot print the truth")
    }
}

/// Sockets that were opened one after the other, and when.
#[derive(Debug, Default)]
pub struct Opened {
    /// The sockets themselves.
    pub streams: Vec<TcpStream>,
    truths: Vec<SocketTruth>,
}

impl Opened {
    /// Opens `count` sockets with `open` and notes name and time of each.
    ///
    /// # Errors
    /// The first error of `open`.
    pub fn many(count: usize, mut open: impl FnMut() -> Result<TcpStream>) -> Result<Self> {
        let mut opened = Self::default();
        for _ in 0..count {
            opened.one(&mut open)?;
        }
        Ok(opened)
    }

    /// Opens one more.
    ///
    /// # Errors
    /// The error of `open`.
    pub fn one(&mut self, mut open: impl FnMut() -> Result<TcpStream>) -> Result<()> {
        let before = unix_now();
        let stream = open()?;
        let opened_unix_s = [before, unix_now()];
        let name = |address: std::io::Result<SocketAddr>| address.map(plain_name).unwrap_or_default();
        self.truths.push(SocketTruth {
            local: name(stream.local_addr()),
            remote: name(stream.peer_addr()),
            opened_unix_s,
        });
        self.streams.push(stream);
        Ok(())
    }

    /// The class with these sockets' number, names and times.
    pub fn describe(&self, mut class: Expect) -> Expect {
        let first = self.truths.iter().map(|truth| truth.opened_unix_s[0]).reduce(f64::min);
        let last = self.truths.iter().map(|truth| truth.opened_unix_s[1]).reduce(f64::max);
        class.opened_unix_s = first.zip(last).map(|(first, last)| [first, last]);
        // A connection that was refused or is still under way has no name to compare.
        if self.truths.len() <= NAMED_SOCKETS && self.truths.iter().all(|truth| !truth.remote.is_empty()) {
            class.sockets = self.truths.clone();
        }
        class.count(self.truths.len())
    }
}

/// The name of this process, as the kernel knows it.
fn own_name() -> String {
    std::fs::read_to_string("/proc/self/comm").map(|name| name.trim_end().to_owned()).unwrap_or_default()
}

/// Seconds since 1970.
pub fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs_f64()).unwrap_or_default()
}

/// An address as a report must write it: an IPv4-mapped one as IPv4.
pub fn plain_name(address: SocketAddr) -> String {
    SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_named_as_ipv4() {
        assert_eq!(plain_name("[::ffff:127.0.0.1]:80".parse().unwrap()), "127.0.0.1:80");
        assert_eq!(plain_name("[::1]:80".parse().unwrap()), "[::1]:80");
    }
}
