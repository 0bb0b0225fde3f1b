//! What the load programs of benchmarks share: options, an error message at the end, a clock.

use anyhow::{Context as _, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use socket2::SockRef;
use std::io;
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

/// Runs a program and says why it failed.
pub fn main(name: &str, run: impl FnOnce() -> Result<()>) -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Calls `take` with each option of the command line and its value.
///
/// # Errors
/// When an option has no value, or `take` refuses it.
pub fn options(mut take: impl FnMut(&str, &str) -> Result<()>) -> Result<()> {
    let mut words = std::env::args().skip(1);
    while let Some(option) = words.next() {
        let value = words.next().with_context(|| format!("{option} wants a value"))?;
        take(&option, &value).with_context(|| format!("{option} {value}"))?;
    }
    Ok(())
}

/// Processor time of this process so far, in user space and in the kernel, in seconds.
///
/// # Errors
/// What getrusage(2) says.
pub fn cpu_seconds() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).context("cannot read this process's processor time")?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
}

/// Makes a close reset the connection, so that no port stays in TIME_WAIT.
///
/// # Errors
/// What setsockopt(2) says.
pub fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}
