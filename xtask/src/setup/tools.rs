//! Tools of `cargo xtask check` that do not come with Rust.

use anyhow::Result;

use super::step::step;
use crate::bpf_side::in_path;
use crate::project;

/// A program and the release that was tried.
const TOOLS: [(&str, &str); 2] = [("cargo-machete", "0.9.1"), ("cargo-deny", "0.18.6")];

/// Builds what is missing, which takes minutes.
pub fn bring() -> Result<()> {
    for (name, version) in TOOLS {
        if in_path(name).next().is_none() {
            step(&format!("builds {name} {version}"));
            let mut install = project::cargo();
            install.args(["install", name, "--version", version, "--locked", "--quiet"]);
            project::must_run(install.env("CARGO_PROFILE_RELEASE_DEBUG", "0"))?;
        }
    }
    Ok(())
}
