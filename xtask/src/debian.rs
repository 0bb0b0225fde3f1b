//! Which Debian release this machine runs and where its mirror is. Reads only.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::project;

/// The Debian release that this machine runs.
pub struct Release {
    /// Such as `bookworm`.
    pub codename: String,
    /// The mirror in the machine's own sources.
    pub site: String,
    /// The `[signed-by=…] ` part of a source line; empty where there is no key ring.
    pub signed: String,
}

/// Reads it from /etc/os-release and from apt's sources.
pub fn debian_release() -> Result<Release> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("unstable");
    let Some(site) = site_of(codename)?.filter(|_| release.lines().any(|line| line == "ID=debian")) else {
        bail!("this machine's apt names no Debian mirror");
    };
    let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let signed = if Path::new(keys).is_file() { format!("[signed-by={keys}] ") } else { String::new() };
    Ok(Release { codename: codename.to_owned(), site, signed })
}

/// The mirror that this machine's apt uses for a suite; `None` where it has no such suite.
pub fn site_of(suite: &str) -> Result<Option<String>> {
    let mut ask = Command::new("apt-get");
    ask.args(["indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]);
    let targets = project::output_of(&mut ask)?;
    Ok(targets.lines().find_map(|line| {
        let mut words = line.split(' ');
        let site = words.next()?;
        (words.next()? == suite && words.next()? == "main").then(|| site.to_owned())
    }))
}
