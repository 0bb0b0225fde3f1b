//! Installs a toolchain that has the sources of `core`: the distribution's Rust with its library source, linked as a toolchain of
//! rustup; where there is no apt, rustup's own nightly.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::step::step;
use super::system::System;
use crate::bpf_side::{LINKED_TOOLCHAIN, in_path};
use crate::project;

/// Compiler, library source and cargo, which only work together in one version. Debian keeps two: the plain one, and
/// the one that its web browsers are built with, which is newer.
const TRIPLES: [[&str; 3]; 2] = [["rustc-web", "rust-web-src", "cargo-web"], ["rustc", "rust-src", "cargo"]];

/// The command that works where rustup reaches its own server.
const BY_HAND: &str = "rustup toolchain install nightly --profile minimal --component rust-src";

/// Installs a toolchain.
pub fn bring(system: &mut System) -> Result<()> {
    if System::has_apt() {
        return bring_from_distribution(system);
    }
    if in_path("rustup").next().is_none() {
        bail!(
            "cannot bring a Rust toolchain with the sources of `core`: there is neither apt-get nor rustup; install \
             the library source that belongs to your rustc"
        );
    }
    step("asks rustup for a nightly with rust-src");
    project::must_run(Command::new("rustup").args(BY_HAND.split(' ').skip(1)))
}

/// Installs the distribution's pair, and makes it a toolchain of rustup's where there is a rustup.
pub fn bring_from_distribution(system: &mut System) -> Result<()> {
    let Some(triple) = newest_triple(system)? else {
        bail!(
            "no package of this system brings a Rust of at least {}.{} with the sources of `core`; run `{BY_HAND}`",
            minimum().0,
            minimum().1
        );
    };
    if !is_present(triple[0])? {
        system.install(&triple)?;
    }
    if in_path("rustup").next().is_some() {
        step(&format!("links /usr as the toolchain {LINKED_TOOLCHAIN}"));
        project::must_run(Command::new("rustup").args(["toolchain", "link", LINKED_TOOLCHAIN, "/usr"]))?;
    }
    Ok(())
}

/// The newest triple, if it is at least the workspace's `rust-version`.
fn newest_triple(system: &mut System) -> Result<Option<[&'static str; 3]>> {
    let found = youngest(system)?;
    if found.is_none() {
        // Lists from an image may be older than the update that brought it.
        system.refresh()?;
        return youngest(system);
    }
    Ok(found)
}

fn youngest(system: &mut System) -> Result<Option<[&'static str; 3]>> {
    let mut best = None;
    for triple in TRIPLES {
        let Some(version) = system.version(triple[1])?.as_deref().and_then(release) else { continue };
        if version >= minimum() && best.is_none_or(|(known, _)| version > known) {
            best = Some((version, triple));
        }
    }
    Ok(best.map(|(_, triple)| triple))
}

/// `1.96.0+dfsg1-1~deb12u2` is 1.96.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '+', '-', '~']).map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// What the workspace asks of a compiler.
fn minimum() -> (u32, u32) {
    release(env!("CARGO_PKG_RUST_VERSION")).unwrap_or_default()
}

/// Whether the triple's source is unpacked beside a compiler in /usr, of the version that belongs to it.
fn is_present(compiler: &str) -> Result<bool> {
    let query = Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", compiler]).output()?;
    let source = Path::new("/usr/lib/rustlib/src/rust/library/core/Cargo.toml");
    Ok(query.stdout == b"installed" && source.is_file() && Path::new("/usr/bin/cargo").is_file())
}

#[cfg(test)]
mod tests {
    use super::release;

    #[test]
    fn a_package_version_begins_with_the_release() {
        assert_eq!(release("1.96.0+dfsg1-1~deb12u2"), Some((1, 96)));
        assert_eq!(release("1.95"), Some((1, 95)));
        assert_eq!(release("nightly"), None);
    }
}
