//! Starts scenario programs and real ones: a Go client, a Python client, and one program for each language.

use super::child::ScenarioChild;
use super::languages;
use super::scenario::is_real;
use super::tools::runs;
use super::workshop::Workshop;
use crate::scenarios::stage::Limits;
use crate::truth::Truth;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

const GO: &str = include_str!("../../real/leak.go");
const PYTHON: &str = include_str!("../../real/leak.py");

/// Builds a real program, so that starting it later takes no time. Does nothing for a scenario program.
///
/// # Errors
/// When a tool is there but fails.
pub fn build(workshop: &Workshop, program: &str) -> Result<()> {
    if is_real(program) {
        let _ = command(workshop, program)?;
    }
    Ok(())
}

/// The command that runs a real program, or why there is none. Builds it unless that is done.
fn command(workshop: &Workshop, program: &str) -> Result<std::result::Result<Command, String>> {
    match program {
        "python-client" => python(workshop),
        "go-client" => go(workshop),
        _ => languages::find(program).with_context(|| format!("no real program {program}"))?.command(workshop.folder()),
    }
}

fn python(workshop: &Workshop) -> Result<std::result::Result<Command, String>> {
    if !runs("python3", "--version") {
        return Ok(Err("python3 is not installed".into()));
    }
    let source = workshop.write("leak.py", PYTHON)?;
    let mut command = Command::new("python3");
    command.arg(source);
    Ok(Ok(command))
}

fn go(workshop: &Workshop) -> Result<std::result::Result<Command, String>> {
    let binary = workshop.folder().join("leak-go");
    if binary.is_file() {
        return Ok(Ok(Command::new(binary)));
    }
    if !runs("go", "version") {
        return Ok(Err("go is not installed (package golang-go)".into()));
    }
    let source = workshop.write("leak.go", GO)?;
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([&binary, &source])
        .env("GOCACHE", workshop.folder().join("cache"))
        .env("GOFLAGS", "-mod=mod")
        .env("GO111MODULE", "off")
        .current_dir(workshop.folder())
        .output()
        .context("cannot run go")?;
    anyhow::ensure!(built.status.success(), "go build: {}", String::from_utf8_lossy(&built.stderr));
    Ok(Ok(Command::new(binary)))
}

/// Starts a scenario program, or a real one. A real one that is missing becomes a skip.
///
/// # Errors
/// When it cannot be started.
pub fn start(workshop: &Workshop, scenarios: &Path, program: &'static str, limits: Limits) -> Result<Started> {
    if !is_real(program) {
        return Ok(Started::Running(ScenarioChild::within(scenarios, program, limits)?));
    }
    match command(workshop, program)? {
        Ok(mut command) => Ok(Started::Running(ScenarioChild::start(program, &mut command)?)),
        Err(reason) => Ok(Started::Missing(Truth { program: program.into(), skip: Some(reason), ..Truth::default() })),
    }
}

/// What came of starting a program.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Started {
    /// It runs.
    Running(ScenarioChild),
    /// It cannot; the truth says why.
    Missing(Truth),
}
