//! The system's package manager. Only apt is known by name; elsewhere the message says what to install.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::apt::apt_get;
use super::backports;
use super::packages::Package;
use super::step::step;
use crate::bpf_side::in_path;
use crate::project;

/// Installs packages, refreshing the package lists at most once.
pub struct System {
    refreshed: bool,
    installed: bool,
}

impl System {
    /// Nothing done yet.
    pub fn new() -> Self {
        Self { refreshed: false, installed: false }
    }

    /// Whether nothing was installed so far.
    pub fn said_nothing(&self) -> bool {
        !self.installed
    }

    /// Whether this system installs with apt.
    pub fn has_apt() -> bool {
        in_path("apt-get").next().is_some()
    }

    /// Installs the packages whose programs are missing.
    pub fn bring(&mut self, wanted: &[Package]) -> Result<()> {
        let missing: Vec<&Package> = wanted.iter().filter(|wanted| !is_installed(wanted.program)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let programs: Vec<&str> = missing.iter().map(|missing| missing.program).collect();
        step(&format!("missing: {}", programs.join(", ")));
        let packages: Vec<&str> = missing.iter().map(|missing| missing.package).collect();
        self.install(&packages)
    }

    /// Installs packages by name. Never removes one.
    pub fn install(&mut self, packages: &[&str]) -> Result<()> {
        if !Self::has_apt() {
            bail!("cannot install {} here: this system has no apt-get; install them by hand", packages.join(", "));
        }
        for package in packages {
            if self.version(package)?.is_none() {
                bail!("cannot install {package}: this system's package index has no such package");
            }
        }
        step(&format!("installs {}", packages.join(" ")));
        self.installed = true;
        let mut done = install_beside(packages);
        if done.is_err() && !self.refreshed {
            // Old lists name versions that the mirror no longer has.
            self.refresh()?;
            done = install_beside(packages);
        }
        let Err(error) = done else { return Ok(()) };
        let (fit, unfit): (Vec<&str>, Vec<&str>) = packages.iter().partition(|package| goes_beside(package));
        if unfit.is_empty() {
            return Err(error);
        }
        step(&format!("{} would push out what is installed: looks in the release's backports", unfit.join(" ")));
        if !fit.is_empty() {
            install_beside(&fit)?;
        }
        backports::install(&unfit)
    }

    /// The version that would be installed; refreshes the package lists when they do not know the package.
    pub fn version(&mut self, package: &str) -> Result<Option<String>> {
        let known = candidate(package)?;
        if known.is_some() || self.refreshed {
            return Ok(known);
        }
        self.refresh()?;
        candidate(package)
    }

    /// Reads the package lists anew, once.
    pub fn refresh(&mut self) -> Result<()> {
        if self.refreshed {
            return Ok(());
        }
        step("refreshes the package lists");
        self.refreshed = true;
        apt_get(&["--quiet=2", "-o", "DPkg::Lock::Timeout=300", "update"])
    }
}

/// Every package whose name matches an extended regular expression.
pub fn package_names(pattern: &str) -> Result<Vec<String>> {
    let found = project::output_of(Command::new("apt-cache").args(["search", "--names-only", pattern]))?;
    Ok(found.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

fn is_installed(program: &str) -> bool {
    // A user's PATH on Debian leaves the folders of administration programs out.
    in_path(program).next().is_some()
        || ["/sbin", "/usr/sbin"].iter().any(|folder| std::path::Path::new(folder).join(program).is_file())
}

fn candidate(package: &str) -> Result<Option<String>> {
    let policy = project::output_of(Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C"))?;
    let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:")).map(str::trim);
    Ok(candidate.filter(|version| *version != "(none)").map(str::to_owned))
}

/// Installs packages, and removes none for them.
fn install_beside(packages: &[&str]) -> Result<()> {
    let how = ["--yes", "--quiet=2", "--no-install-recommends", "--no-remove"];
    let quietly = ["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0", "install"];
    apt_get(&[&how[..], &quietly[..], packages].concat())
}

/// Whether a package can be installed without removing another.
fn goes_beside(package: &str) -> bool {
    let mut simulate = Command::new("apt-get");
    simulate.args(["--simulate", "--quiet=2", "--no-install-recommends", "--no-remove", "install", package]);
    simulate.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
