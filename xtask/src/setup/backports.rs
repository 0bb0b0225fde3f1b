//! Packages from the backports of this Debian release, for a machine that has some of them already: the release's own packages may
//! conflict with those.
//!
//! Read with lists of its own: the machine's sources stay as they are.

use std::fs;

use anyhow::{Context as _, Result};

use super::apt::apt_get;
use crate::debian::{Release, debian_release};
use crate::project;

/// Installs packages from there. Never removes one.
pub fn install(packages: &[&str]) -> Result<()> {
    let Release { codename, site, signed } = debian_release().context("there are no backports to look in")?;
    let folder = project::cache()?.join("backports");
    fs::create_dir_all(folder.join("lists/partial")).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(folder.join("sources.list"), format!("deb {signed}{site} {codename}-backports main\n"))?;
    // Beside the machine's own sources, which have what these packages depend on.
    let sources = format!("Dir::Etc::sourcelist={}", folder.join("sources.list").display());
    let lists = format!("Dir::State::lists={}", folder.join("lists").display());
    // The folder is in a home, where apt's own user cannot go.
    let elsewhere = ["-o", &sources, "-o", &lists, "-o", "APT::Sandbox::User=root", "--quiet=2"];
    apt_get(&[&elsewhere[..], &["update"]].concat())?;
    let suite = format!("{codename}-backports");
    let how = ["--yes", "--no-install-recommends", "--no-remove", "-o", "Dpkg::Use-Pty=0", "-t", &suite, "install"];
    apt_get(&[&elsewhere[..], &how[..], packages].concat())
}
