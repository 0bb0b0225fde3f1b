//! `cargo xtask run`: from a fresh clone to a running leaktrace. Root rights are used for the run only.

use std::convert::Infallible;
use std::ffi::OsString;
use std::process::Command;

use anyhow::{Result, bail};

use crate::bpf_side::in_path;
use crate::project;
use crate::setup::{self, Purpose};

/// Sets up, builds, and replaces this process by leaktrace, or by sudo: it gets all signals, and its exit status is this command's.
pub fn run(arguments: &[OsString]) -> Result<Infallible> {
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
    Err(project::show_and_become(command.args(arguments)))
}
