//! Runs apt-get as root.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::bpf_side::in_path;
use crate::project;

/// Runs apt-get with these arguments, through sudo where this is not root.
pub fn apt_get(words: &[&str]) -> Result<()> {
    let mut command = if project::is_root() {
        Command::new("env")
    } else if in_path("sudo").next().is_some() {
        let mut sudo = Command::new("sudo");
        sudo.arg("env");
        sudo
    } else {
        bail!("cannot install packages: this is not root and there is no sudo; run `cargo xtask setup` as root once");
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(words);
    // apt and debconf write to stdout, which may be somebody's data.
    project::must_run(command.stdout(Stdio::from(std::io::stderr())))
}
