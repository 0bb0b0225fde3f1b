//! `cargo xtask run`: from a fresh clone to leaktrace at work, with root rights for the run alone.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::bpf_side::in_path;
use crate::project;
use crate::setup::{self, Purpose};

/// Sets up, builds, runs; passes leaktrace's exit status on.
pub fn run(arguments: &[OsString]) -> Result<ExitCode> {
    setup::set_up(Purpose::Build)?;
    project::build_release(&["leaktrace"])?;
    let program = project::release_program("leaktrace");
    let mut command = if project::is_root() {
        Command::new(program)
    } else if in_path("sudo").next().is_some() {
        let mut sudo = Command::new("sudo");
        sudo.arg(program);
        sudo
    } else {
        bail!("leaktrace needs root to watch sockets: there is no sudo here; run {} as root", program.display());
    };
    let status = project::show_and_run(command.args(arguments))?;
    // No code means a signal, which a shell reports as 128 and its number.
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}
