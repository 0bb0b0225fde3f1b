//! The package index of the other Debian releases, read with the machine's own apt from the machine's own mirror.
//!
//! Works in a folder of its own: nothing is installed, and the machine's lists and sources stay as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::debian::{Release, debian_release, site_of};
use crate::project;

/// Where the kernels of the matrix live: suites of the main archive, then suites of the security archive.
const SUITES: &[&str] = &["bullseye", "bookworm", "bookworm-backports", "unstable", "experimental"];
const SECURITY_SUITES: &[&str] = &["bullseye-security", "bookworm-security"];

/// One version of a package, in one suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The package's name.
    pub package: String,
    /// The suite that has it.
    pub suite: String,
}

/// A private apt.
pub struct Mirror {
    folder: PathBuf,
}

impl Mirror {
    /// Reads the index; takes seconds and some 45 MB.
    pub fn read(folder: PathBuf) -> Result<Self> {
        for inside in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(folder.join(inside)).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::write(folder.join("status"), "")?;
        fs::write(folder.join("sources.list"), sources()?)?;
        fs::write(folder.join("apt.conf"), configuration(&folder))?;
        let mirror = Self { folder };
        // A suite that the mirror no longer has must not stop the others. What is missing because of it is reported later.
        let status = project::show_and_run(mirror.apt("apt-get").args(["--quiet=2", "update"]))?;
        if !status.success() {
            eprintln!("vm: part of the package index could not be read, going on with the rest");
        }
        Ok(mirror)
    }

    /// Every package whose name matches, with the suites that have it.
    pub fn offers(&self, pattern: &str) -> Result<Vec<Offer>> {
        let found = project::output_of(self.apt("apt-cache").args(["search", "--names-only", pattern]))?;
        let names: Vec<&str> = found.lines().filter_map(|line| line.split_whitespace().next()).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let table = project::output_of(self.apt("apt-cache").arg("madison").args(names))?;
        Ok(table.lines().filter_map(parse_offer).collect())
    }

    /// Fetches a package and unpacks it under `into`.
    pub fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        let folder = self.folder.join("archives").join(package);
        fs::create_dir_all(&folder)?;
        let mut download = self.apt("apt-get");
        project::must_run(download.args(["--quiet=2", "download", package]).current_dir(&folder))?;
        let file = fs::read_dir(&folder)?.flatten().map(|entry| entry.path()).find(|path| is_package(path));
        let file = file.with_context(|| format!("apt-get download left no package in {}", folder.display()))?;
        project::must_run(Command::new("dpkg").arg("-x").arg(&file).arg(into))?;
        fs::remove_dir_all(&folder)?;
        Ok(())
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.folder.join("apt.conf")).env("LC_ALL", "C");
        command
    }
}

/// Makes apt use a folder, and leaves out what is not read here. The machine's proxies and keys stay in force.
fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "Dir::State \"{folder}\";
Dir::State::lists \"{folder}/lists\";
Dir::State::status \"{folder}/status\";
Dir::Cache \"{folder}\";
Dir::Etc::sourcelist \"{folder}/sources.list\";
Dir::Etc::sourceparts \"-\";
Acquire::Languages \"none\";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";
// Old suites are signed, but no longer every week.
Acquire::Check-Valid-Until \"false\";
// The folder is in a home, where apt's own user cannot go.
APT::Sandbox::User \"root\";
"
    )
}

/// `name | version | URI suite/component arch Packages`
fn parse_offer(line: &str) -> Option<Offer> {
    let mut columns = line.split('|').map(str::trim);
    let package = columns.next()?.to_owned();
    let source = columns.nth(1)?;
    let suite = source.split_whitespace().nth(1)?.split('/').next()?.to_owned();
    Some(Offer { package, suite })
}

fn is_package(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "deb")
}

/// Sources for the suites, from the mirrors that this machine's own sources name.
fn sources() -> Result<String> {
    let Release { codename, site, signed } =
        debian_release().context("kernels of the matrix come from a Debian mirror; give one with --kernel")?;
    let mut text = String::new();
    for suite in SUITES {
        text += &format!("deb {signed}{site} {suite} main\n");
    }
    if let Some(security) = site_of(&format!("{codename}-security"))? {
        for suite in SECURITY_SUITES {
            text += &format!("deb {signed}{security} {suite} main\n");
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_names_the_suite_that_has_it() {
        let line = "linux-binary-7.2.13+deb14-cloud-amd64 | 7.2.13-1 | http://mirror.example/debian unstable/main amd64 Packages";
        let offer = Offer { package: "linux-binary-7.2.13+deb14-cloud-amd64".into(), suite: "unstable".into() };
        assert_eq!(parse_offer(line), Some(offer));
        assert_eq!(parse_offer("nonsense"), None);
    }
}
