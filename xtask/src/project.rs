//! Paths of the project, and the functions that start its programs. Every command line is printed before it runs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context as _, Error, Result, bail};

/// The folder of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Where cargo, which starts in [`root`], puts what it builds.
pub fn target() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// A program of the release build.
pub fn release_program(name: &str) -> PathBuf {
    target().join("release").join(name)
}

/// The folder for what is kept between clones: kernels of the matrix and their package index.
pub fn cache() -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let cache = cache.or_else(|| env::home_dir().map(|home| home.join(".cache")));
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME is set; set one")?.join("leaktrace"))
}

/// The cargo that started this program.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// Whether this process is root.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Builds packages in the release profile, the one that is shipped and tested.
pub fn build_release(packages: &[&str]) -> Result<()> {
    let mut build = cargo();
    build.args(["build", "--release"]);
    for package in packages {
        build.args(["--package", package]);
    }
    must_run(&mut build)
}

/// Shows a command line and runs it. An exit status other than 0 is an error.
pub fn must_run(command: &mut Command) -> Result<()> {
    let status = show_and_run(command)?;
    if !status.success() {
        bail!("`{}` failed: {status}", words(command));
    }
    Ok(())
}

/// Shows a command line and runs it.
pub fn show_and_run(command: &mut Command) -> Result<ExitStatus> {
    eprintln!("$ {}", words(command));
    command.status().with_context(|| format!("cannot start `{}`", words(command)))
}

/// Shows a command line and replaces this program by it. Returns only when that fails.
pub fn show_and_become(command: &mut Command) -> Error {
    use std::os::unix::process::CommandExt as _;
    eprintln!("$ {}", words(command));
    Error::new(command.exec()).context(format!("cannot start `{}`", words(command)))
}

/// What a command wrote to its standard output. Its standard error is ours.
pub fn output_of(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", words(command)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", words(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_started_is_named() {
        let error = show_and_become(Command::new("/nowhere/leaktrace").arg("top"));
        assert!(format!("{error:#}").starts_with("cannot start `leaktrace top`: No such file"), "{error:#}");
    }
}
