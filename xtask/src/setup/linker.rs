//! Installs bpf-linker, built against an LLVM that reads what the toolchain writes.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::step::step;
use super::system::{System, package_names};
use super::toolchain;
use crate::bpf_side::{LINKED_TOOLCHAIN, Toolchain, cargo_bin, in_path};
use crate::project;

/// The release that was tried with this project's aya.
const VERSION: &str = "0.13.0";

/// The LLVM versions that this release can be built against.
const LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// Installs a bpf-linker for this toolchain, or another toolchain where there is none for this one.
pub fn bring(toolchain: &Toolchain, system: &mut System) -> Result<()> {
    let Some((llvm, prefix)) = bring_llvm(toolchain.llvm, system)? else {
        let ours = toolchain.name.as_deref() == Some(LINKED_TOOLCHAIN);
        if System::has_apt() && !ours {
            step(&format!("no LLVM here reads what rustc {} writes; brings the system's own Rust", toolchain.release));
            return toolchain::bring_from_distribution(system);
        }
        bail!(
            "cannot build bpf-linker: it needs the development files of LLVM {} to {} for rustc {}; install them and \
             put llvm-config in PATH",
            toolchain.llvm.max(*LLVM.start()),
            LLVM.end(),
            toolchain.release
        );
    };
    step(&format!("builds bpf-linker {VERSION} against LLVM {llvm}"));
    let bin = cargo_bin().context("neither CARGO_HOME nor HOME is set; set one")?;
    let home = bin.parent().context("cargo's folder of programs has no parent")?;
    let feature = format!("llvm-{llvm}");
    let mut install = project::cargo();
    install.args(["install", "bpf-linker", "--version", VERSION, "--locked", "--quiet", "--force"]);
    install.args(["--no-default-features", "--features", &feature, "--root"]).arg(home);
    // Without the prefix it takes the first libLLVM of the system, whatever its version.
    install.env("LLVM_PREFIX", prefix).env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    project::must_run(&mut install)
}

/// The version and the prefix of the oldest LLVM that fits. Installs one where apt has it.
fn bring_llvm(wanted: u32, system: &mut System) -> Result<Option<(u32, PathBuf)>> {
    let fits = |version: &u32| *version >= wanted && LLVM.contains(version);
    if let Some(found) = installed(&fits) {
        return Ok(Some(found));
    }
    if !System::has_apt() {
        return Ok(None);
    }
    let mut offered = offered_by_apt(&fits)?;
    if offered.is_none() {
        system.refresh()?;
        offered = offered_by_apt(&fits)?;
    }
    let Some(version) = offered else { return Ok(None) };
    system.install(&[&format!("llvm-{version}-dev")])?;
    Ok(installed(&fits))
}

fn offered_by_apt(fits: &impl Fn(&u32) -> bool) -> Result<Option<u32>> {
    let names = package_names("^llvm-[0-9]+-dev$")?;
    let versions = names.iter().filter_map(|name| name.strip_prefix("llvm-")?.strip_suffix("-dev")?.parse().ok());
    Ok(versions.filter(fits).min())
}

/// Asks every llvm-config there is: Debian's under /usr/lib, then the ones in `PATH`.
fn installed(fits: &impl Fn(&u32) -> bool) -> Option<(u32, PathBuf)> {
    let debian = LLVM.map(|version| PathBuf::from(format!("/usr/lib/llvm-{version}/bin/llvm-config")));
    debian.filter(|path| path.is_file()).chain(in_path("llvm-config")).find_map(|config| {
        let ask = |what: &str| {
            let output = Command::new(&config).arg(what).output().ok()?;
            Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
        };
        let version = ask("--version")?.split('.').next()?.parse().ok().filter(fits)?;
        // Runtime packages have no headers to build against.
        let headers = PathBuf::from(ask("--includedir")?);
        headers.join("llvm-c").is_dir().then_some(())?;
        Some((version, PathBuf::from(ask("--prefix")?)))
    })
}
