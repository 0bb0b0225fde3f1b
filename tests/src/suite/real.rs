//! Real programs: a Go client and a Python client that leak, built and run where the tools are.

use super::child::ZooChild;
use super::languages;
use crate::leftovers;
use crate::truth::Truth;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const GO: &str = include_str!("../../real/leak.go");
const PYTHON: &str = include_str!("../../real/leak.py");

/// What the folder's name begins with, before the id of the process that made it.
const NAME: &str = "leaktrace-suite-";

/// A folder for what is built; gone on drop.
#[derive(Debug)]
pub struct Workshop(PathBuf);

impl Workshop {
    /// A fresh folder. Those of runs that were killed go.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open() -> Result<Self> {
        for left in leftovers::of_the_dead(&std::env::temp_dir(), NAME) {
            let _ = std::fs::remove_dir_all(left);
        }
        let folder = std::env::temp_dir().join(format!("{NAME}{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Builds a program that has to be, so that [`Workshop::command`] finds it; any other costs nothing.
    ///
    /// # Errors
    /// When a tool is there but fails.
    pub fn build(&self, program: &str) -> Result<()> {
        if super::scenario::is_real(program) {
            let _ = self.command(program)?;
        }
        Ok(())
    }

    /// The command that runs a real program, or why there is none. Builds it unless that is done.
    ///
    /// # Errors
    /// When a tool is there but fails.
    pub fn command(&self, program: &str) -> Result<std::result::Result<Command, String>> {
        match program {
            "python-client" => self.python(),
            "go-client" => self.go(),
            _ => languages::find(program).with_context(|| format!("no real program {program}"))?.command(&self.0),
        }
    }

    fn python(&self) -> Result<std::result::Result<Command, String>> {
        if !runs("python3", "--version") {
            return Ok(Err("python3 is not installed".into()));
        }
        let source = self.write("leak.py", PYTHON)?;
        let mut command = Command::new("python3");
        command.arg(source);
        Ok(Ok(command))
    }

    fn go(&self) -> Result<std::result::Result<Command, String>> {
        let binary = self.0.join("leak-go");
        if binary.is_file() {
            return Ok(Ok(Command::new(binary)));
        }
        if !runs("go", "version") {
            return Ok(Err("go is not installed (package golang-go)".into()));
        }
        let source = self.write("leak.go", GO)?;
        let built = Command::new("go")
            .args(["build", "-o"])
            .args([&binary, &source])
            .env("GOCACHE", self.0.join("cache"))
            .env("GOFLAGS", "-mod=mod")
            .env("GO111MODULE", "off")
            .current_dir(&self.0)
            .output()
            .context("cannot run go")?;
        anyhow::ensure!(built.status.success(), "go build: {}", String::from_utf8_lossy(&built.stderr));
        Ok(Ok(Command::new(binary)))
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether a tool can be run at all.
pub(super) fn runs(tool: &str, argument: &str) -> bool {
    let quiet = Command::new(tool).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// Starts a program of the zoo, or a real one; a real one that is missing becomes a skip.
///
/// # Errors
/// When it cannot be started.
pub fn start(workshop: &Workshop, zoo: &Path, program: &'static str) -> Result<Started> {
    if !super::scenario::is_real(program) {
        return Ok(Started::Running(ZooChild::zoo(zoo, program)?));
    }
    match workshop.command(program)? {
        Ok(mut command) => Ok(Started::Running(ZooChild::start(program, &mut command)?)),
        Err(reason) => Ok(Started::Missing(Truth { program: program.into(), skip: Some(reason), ..Truth::default() })),
    }
}

/// What came of starting a program.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Started {
    /// It runs.
    Running(ZooChild),
    /// It cannot; the truth says why.
    Missing(Truth),
}
