//! `cargo xtask setup`: installs what is missing and prints each step. Ends at once when nothing is missing.
//!
//! What counts as missing is decided in `leaktrace/kernel/build/bpf_side.rs` for the build and in `packages` for the rest.

mod apt;
mod backports;
mod linker;
mod packages;
mod step;
mod system;
mod toolchain;
mod tools;

use std::fs::File;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

pub use packages::NOT_BROUGHT;

use crate::bpf_side::{self, Missing};
use crate::project;
use step::step;
use system::System;

/// What to prepare for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    /// `cargo build --release`
    Build,
    /// `cargo xtask test` and `cargo xtask vm`
    Test,
    /// `cargo xtask bench` and the programs it compares leaktrace with
    Bench,
    /// `cargo xtask check`: tools that take minutes to build
    Check,
}

/// Installs what `purpose` needs.
pub fn set_up(purpose: Purpose) -> Result<()> {
    let mut system = System::new();
    match purpose {
        Purpose::Build => {}
        Purpose::Test => system.bring(packages::FOR_TESTS)?,
        Purpose::Bench => system.bring(packages::FOR_BENCHMARKS)?,
        Purpose::Check => tools::bring()?,
    }
    let mut news = !system.said_nothing();
    // At most: a toolchain, then its linker; or a linker that turns out to need another toolchain, and its linker.
    for _ in 0..4 {
        match bpf_side::find() {
            Ok((toolchain, linker)) => {
                if news {
                    refresh_stub_builds()?;
                }
                say_ready(&toolchain, &linker, purpose);
                return Ok(());
            }
            Err(missing) => {
                step(&format!("{missing}"));
                news = true;
                bring(&missing, &mut system)?;
            }
        }
    }
    match bpf_side::find() {
        Ok(_) => refresh_stub_builds(),
        Err(missing) => bail!("set-up ran, yet the kernel side still cannot be built: {missing}"),
    }
}

fn bring(missing: &Missing, system: &mut System) -> Result<()> {
    match missing {
        Missing::Toolchain => toolchain::bring(system),
        Missing::Linker(toolchain) | Missing::NewerLinker(toolchain, _) => linker::bring(toolchain, system),
    }
}

fn say_ready(toolchain: &bpf_side::Toolchain, linker: &bpf_side::Linker, purpose: Purpose) {
    let name = toolchain.name.as_deref().unwrap_or("the rustc in PATH");
    let what = match purpose {
        Purpose::Build => "build has",
        Purpose::Test => "build and tests have",
        Purpose::Bench => "build and benchmarks have",
        Purpose::Check => "build and checks have",
    };
    step(&format!(
        "the {what} all they need: rustc {} ({name}, LLVM {}) and {}",
        toolchain.release,
        toolchain.llvm,
        linker.path.display()
    ));
}

/// A debug build made before the set-up holds no kernel object; its build script looks at this file's date.
fn refresh_stub_builds() -> Result<()> {
    let script = project::root().join("leaktrace/kernel/build.rs");
    let file = File::options().append(true).open(&script);
    file.and_then(|file| file.set_modified(SystemTime::now()))
        .with_context(|| format!("cannot touch {}", script.display()))
}
