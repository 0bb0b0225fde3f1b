//! One small program for each language and each way to build it: a named function leaks, its callers have names too.
//!
//! Only here is decided what is built and how. A compiler that is not installed is a reason to skip, never an error.

use super::interpreters::Interpreter;
use super::tools::runs;
use super::workshop::Workshop;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of programs that another machine has prepared, for a machine without compilers, such as a virtual machine of the
/// matrix.
pub const PREBUILT_VARIABLE: &str = "LEAKTRACE_PROGRAMS";

/// A program and how it is built.
#[derive(Debug)]
pub struct Language {
    /// Its name in the table.
    pub name: &'static str,
    /// The file and its text.
    source: (&'static str, &'static str),
    recipe: Recipe,
}

/// How a source becomes something that runs.
#[derive(Debug)]
enum Recipe {
    /// A compiler that takes these words and `-o PROGRAM SOURCE`.
    Compile { tool: &'static str, package: &'static str, words: &'static [&'static str] },
    /// The same with gcc, then stripped, with its debug information in a separate file.
    DebugLink,
    /// Nothing is built: the source is run.
    Interpret(Interpreter),
}

const C: (&str, &str) = ("leak.c", include_str!("../../real/calls/leak.c"));
const C_APART: (&str, &str) = ("leak_apart.c", include_str!("../../real/calls/leak_apart.c"));
const CPP: (&str, &str) = ("leak.cpp", include_str!("../../real/calls/leak.cpp"));
const RUST: (&str, &str) = ("leak.rs", include_str!("../../real/calls/leak.rs"));
const GO: (&str, &str) = ("leak_calls.go", include_str!("../../real/calls/leak.go"));
const CGO: (&str, &str) = ("leak_cgo.go", include_str!("../../real/calls/leak_cgo.go"));
const PYTHON: (&str, &str) = ("leak_calls.py", include_str!("../../real/calls/leak.py"));
const NODE: (&str, &str) = ("leak.js", include_str!("../../real/calls/leak.js"));

const fn compiled(
    name: &'static str,
    source: (&'static str, &'static str),
    (tool, package): (&'static str, &'static str),
    words: &'static [&'static str],
) -> Language {
    Language { name, source, recipe: Recipe::Compile { tool, package, words } }
}

const GCC: (&str, &str) = ("gcc", "gcc");
const GXX: (&str, &str) = ("g++", "g++");
const MUSL: (&str, &str) = ("musl-gcc", "musl-tools");
const RUSTC: (&str, &str) = ("rustc", "rustc");
const GOLANG: (&str, &str) = ("go", "golang-go");

/// All of them.
#[rustfmt::skip]
pub const LANGUAGES: &[Language] = &[
    compiled("c-frame-pointers", C, GCC, &["-O2", "-fno-omit-frame-pointer"]),
    compiled("c-no-frame-pointers", C, GCC, &["-O2", "-fomit-frame-pointer"]),
    compiled("c-two-callers", C_APART, GCC, &["-O2", "-fomit-frame-pointer"]),
    compiled("c-static", C, GCC, &["-O2", "-static"]),
    compiled("c-static-pie", C, GCC, &["-O2", "-static-pie"]),
    compiled("c-pie", C, GCC, &["-O2", "-fPIE", "-pie"]),
    compiled("c-no-pie", C, GCC, &["-O2", "-fno-pie", "-no-pie"]),
    Language { name: "c-debug-link", source: C, recipe: Recipe::DebugLink },
    compiled("c-musl", C, MUSL, &["-O2"]),
    compiled("c-musl-static", C, MUSL, &["-O2", "-static"]),
    compiled("cpp", CPP, GXX, &["-O2"]),
    compiled("rust-debug", RUST, RUSTC, &["--edition=2021", "-g"]),
    compiled("rust-release", RUST, RUSTC, &["--edition=2021", "-O"]),
    compiled("go-plain", GO, GOLANG, &["build"]),
    compiled("go-stripped", GO, GOLANG, &["build", "-ldflags=-s -w"]),
    compiled("go-pie", GO, GOLANG, &["build", "-buildmode=pie"]),
    compiled("go-cgo-linked", GO, GOLANG, &["build", "-tags=netcgo"]),
    compiled("go-cgo-call", CGO, GOLANG, &["build"]),
    Language { name: "python-perf", source: PYTHON, recipe: Recipe::Interpret(Interpreter::Python) },
    Language { name: "node-perf", source: NODE, recipe: Recipe::Interpret(Interpreter::Node) },
];

/// The language of that name.
pub fn find(name: &str) -> Option<&'static Language> {
    LANGUAGES.iter().find(|language| language.name == name)
}

impl Language {
    /// Whether it is built into a binary, which a machine without compilers can run.
    pub fn is_native(&self) -> bool {
        !matches!(self.recipe, Recipe::Interpret(_))
    }

    /// What to show to gdb: the same code with its symbols, where this program has none that gdb can read.
    pub fn with_symbols(&'static self) -> &'static Self {
        match self.name {
            "go-stripped" => find("go-plain").unwrap_or(self),
            _ => self,
        }
    }

    /// The command that runs it, built in `folder` unless it is there already; or why there is none.
    ///
    /// # Errors
    /// When a compiler is there but fails.
    pub fn command(&self, folder: &Path) -> Result<std::result::Result<Command, String>> {
        let Recipe::Interpret(interpreter) = self.recipe else {
            return Ok(self.program(folder)?.map(Command::new));
        };
        let found = self.prebuilt().unwrap_or_else(|| interpreter.find());
        let mut command = match found {
            Ok(found) => Command::new(found),
            Err(why) => return Ok(Err(why)),
        };
        // Node writes a log of its own into its working directory.
        command.args(interpreter.words()).arg(self.write(folder)?).current_dir(folder);
        Ok(Ok(command))
    }

    /// What another machine has prepared under this name: a program, or a link to the interpreter. `None` where programs
    /// are built or found here.
    fn prebuilt(&self) -> Option<std::result::Result<PathBuf, String>> {
        let program = Path::new(&std::env::var_os(PREBUILT_VARIABLE)?).join(self.name);
        Some(program.canonicalize().map_err(|_| "was not prepared on the host".to_owned()))
    }

    /// The program itself, for languages that have one.
    ///
    /// # Errors
    /// When a compiler is there but fails.
    pub fn program(&self, folder: &Path) -> Result<std::result::Result<PathBuf, String>> {
        if let Some(prebuilt) = self.prebuilt() {
            return Ok(prebuilt);
        }
        let program = folder.join(self.name);
        if program.is_file() {
            return Ok(Ok(program));
        }
        let (tool, package, words): (_, _, &[&str]) = match self.recipe {
            Recipe::Compile { tool, package, words } => (tool, package, words),
            _ => ("gcc", "gcc", &["-O2", "-g"]),
        };
        if !runs(tool, if tool == "go" { "version" } else { "--version" }) {
            return Ok(Err(format!("{tool} is not installed (package {package})")));
        }
        let mut build = Command::new(tool);
        build.args(words).arg("-o").arg(&program).arg(self.write(folder)?);
        build.env("GOCACHE", folder.join("cache")).env("GO111MODULE", "off").current_dir(folder);
        must(&mut build)?;
        if matches!(self.recipe, Recipe::DebugLink) {
            let debug = debug_file(&program);
            must(Command::new("objcopy").arg("--only-keep-debug").args([&program, &debug]))?;
            let link = format!("--add-gnu-debuglink={}", debug.display());
            must(Command::new("objcopy").args(["--strip-all", &link]).arg(&program))?;
        }
        Ok(Ok(program))
    }

    /// Puts into `folder` what [`Language::prebuilt`] looks for. Returns the other files that it needs.
    fn prepare(&self, workshop: &Workshop, folder: &Path) -> Result<std::result::Result<Vec<PathBuf>, String>> {
        if let Recipe::Interpret(interpreter) = self.recipe {
            let found = match interpreter.find() {
                Ok(found) => found,
                Err(why) => return Ok(Err(why)),
            };
            let (program, files) = interpreter.needs(&found, self.source.1)?;
            let link = folder.join(self.name);
            std::os::unix::fs::symlink(&program, &link).with_context(|| format!("cannot make {}", link.display()))?;
            return Ok(Ok(files.into_iter().chain([program]).collect()));
        }
        let program = match self.program(workshop.folder())? {
            Ok(program) => program,
            Err(why) => return Ok(Err(why)),
        };
        // Beside the program, where debuggers look for the file of a debug link.
        let debug = debug_file(&program);
        for file in [program, debug].iter().filter(|file| file.is_file()) {
            let to = folder.join(file.file_name().unwrap_or_default());
            std::fs::copy(file, &to).with_context(|| format!("cannot copy {}", file.display()))?;
        }
        Ok(Ok(Vec::new()))
    }

    fn write(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join(self.source.0);
        std::fs::write(&path, self.source.1).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// Builds every native program whose compiler is there, links every interpreter that is there, and says on stderr which
/// are not. What comes back are files that the interpreters read, each needed under its own path.
///
/// # Errors
/// When a compiler or an interpreter fails, or the folder cannot be written.
pub fn prepare_all(folder: &Path) -> Result<Vec<PathBuf>> {
    let workshop = Workshop::open()?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut needed = Vec::new();
    for language in LANGUAGES {
        match language.prepare(&workshop, folder)? {
            Ok(more) => needed.extend(more),
            Err(why) => eprintln!("suite: {} is not prepared: {why}", language.name),
        }
    }
    Ok(needed)
}

fn debug_file(program: &Path) -> PathBuf {
    program.with_extension("debug")
}

fn must(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    anyhow::ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
