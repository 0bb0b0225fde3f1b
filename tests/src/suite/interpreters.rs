//! The interpreters of the suite's Python and Node programs: where they are, and which of their files another machine needs.

use super::tools::runs;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What runs a program that is not compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpreter {
    /// CPython 3.12 or later, with the option that makes it name its functions.
    Python,
    /// Node, with the options that make it name its functions.
    Node,
}

impl Interpreter {
    /// The options that make it name its functions.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["-X", "perf"],
            Self::Node => &["--perf-basic-prof", "--interpreted-frames-native-stack"],
        }
    }

    /// Where it is, or why there is none.
    pub fn find(self) -> std::result::Result<PathBuf, String> {
        match self {
            Self::Python => python_with_perf(),
            Self::Node => node(),
        }
    }

    /// The program behind the name, and the files beside it that it reads to run `source`, libraries of the loader not
    /// counted. Each is needed under its own path.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn needs(self, program: &Path, source: &str) -> Result<(PathBuf, Vec<PathBuf>)> {
        let (itself, option, question) = match self {
            Self::Python => ("import sys; print(sys.executable)", "-c", PYTHON_NEEDS),
            Self::Node => ("console.log(process.execPath)", "-e", NODE_NEEDS),
        };
        // The source's own import lines are part of the question.
        let imports = source.lines().filter(|line| self == Self::Python && line.starts_with("import "));
        let question = imports.chain([question]).collect::<Vec<_>>().join("\n");
        let program = PathBuf::from(ask(program, option, itself)?.trim());
        let program = program.canonicalize().with_context(|| format!("cannot find {}", program.display()))?;
        let files =
            ask(&program, option, &question)?.lines().map(PathBuf::from).filter(|file| file.is_file()).collect();
        Ok((program, files))
    }
}

const PYTHON_NEEDS: &str = include_str!("../../real/needs.py");
const NODE_NEEDS: &str = include_str!("../../real/needs.js");

fn ask(program: &Path, option: &str, question: &str) -> Result<String> {
    let output = Command::new(program).args([option, question]).output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{} cannot say what it needs: {complaint}", program.display());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A CPython that can name its functions: in `PATH`, or beside others as pyenv keeps them.
fn python_with_perf() -> std::result::Result<PathBuf, String> {
    let names = ["python3", "python3.12", "python3.13", "python3.14"].map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv/versions"));
    let versions = home.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let kept = versions.map(|version| version.path().join("bin/python3"));
    let knows = |python: &PathBuf| {
        let check = "import sys; sys.exit(not getattr(sys, 'is_stack_trampoline_active', lambda: False)())";
        let asked = Command::new(python).args(["-X", "perf", "-c", check]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    names.into_iter().chain(kept).find(knows).ok_or_else(|| "no CPython 3.12 or later is installed".into())
}

fn node() -> std::result::Result<PathBuf, String> {
    match runs("node", "--version") {
        true => Ok("node".into()),
        false => Err("node is not installed (package nodejs)".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_skip::{Lack, skip};

    #[test]
    fn what_a_source_imports_is_among_what_its_interpreter_needs() -> Result<()> {
        let python = match Interpreter::Python.find() {
            Ok(python) => python,
            // The system's may well be older.
            Err(why) => {
                skip(Lack::Machine(&why));
                return Ok(());
            }
        };
        let (program, files) = Interpreter::Python.needs(&python, "import json\nprint('is not asked')\n")?;
        assert!(program.is_absolute(), "{}", program.display());
        for module in ["os.py", "encodings/utf_8.py", "json/decoder.py"] {
            assert!(files.iter().any(|file| file.ends_with(module)), "{module} is not among {files:?}");
        }
        Ok(())
    }

    #[test]
    fn node_can_say_what_it_needs() -> Result<()> {
        let Ok(node) = Interpreter::Node.find() else {
            skip(Lack::Program("node"));
            return Ok(());
        };
        let (program, files) = Interpreter::Node.needs(&node, "")?;
        assert!(program.is_absolute(), "{}", program.display());
        assert!(files.iter().all(|file| file.is_file()), "{files:?}");
        Ok(())
    }
}
