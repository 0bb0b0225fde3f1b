//! Finds the tools that build the kernel side: a toolchain with the sources of `core`, and a bpf-linker whose LLVM can read what that
//! toolchain writes.
//!
//! Used by `leaktrace/kernel/build.rs` and by `cargo xtask setup`, so that the two never disagree. It must not install or print anything.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The rustup name under which `cargo xtask setup` links a toolchain that does not come from rustup.
pub const LINKED_TOOLCHAIN: &str = "leaktrace-bpf";

/// Variable that names the toolchain to use. It has priority over all installed ones.
pub const TOOLCHAIN_VARIABLE: &str = "LEAKTRACE_BPF_TOOLCHAIN";

/// A toolchain that can build `core` for `bpfel-unknown-none`.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// The name for `rustup run`; `None` if there is no rustup, for the compiler in `PATH`.
    pub name: Option<String>,
    /// The release in the output of `rustc -vV`.
    pub release: String,
    /// Major version of its LLVM; 0 if unknown.
    pub llvm: u32,
}

/// A bpf-linker.
#[derive(Debug, Clone)]
pub struct Linker {
    /// Path of the program.
    pub path: PathBuf,
    /// Major version of the LLVM library that it uses; `None` if LLVM is linked into it.
    pub llvm: Option<u32>,
}

/// Why the kernel side cannot be built here.
#[derive(Debug, Clone)]
pub enum Missing {
    /// No toolchain has the sources of `core`.
    Toolchain,
    /// There is a toolchain, but no bpf-linker.
    Linker(Toolchain),
    /// There is a bpf-linker, but its LLVM is older than the toolchain's.
    NewerLinker(Toolchain, Linker),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Toolchain => f.write_str("no Rust toolchain here has the sources of `core`"),
            Self::Linker(toolchain) => {
                write!(f, "there is no bpf-linker for rustc {} (LLVM {})", toolchain.release, toolchain.llvm)
            }
            Self::NewerLinker(toolchain, linker) => write!(
                f,
                "{} reads LLVM {} and older, but rustc {} writes LLVM {}",
                linker.path.display(),
                linker.llvm.unwrap_or_default(),
                toolchain.release,
                toolchain.llvm
            ),
        }
    }
}

/// The toolchain and the linker, or the first of them that is missing.
pub fn find() -> Result<(Toolchain, Linker), Missing> {
    let toolchain = find_toolchain().ok_or(Missing::Toolchain)?;
    let mut unfit = None;
    for linker in linkers() {
        match linker.llvm {
            Some(llvm) if llvm < toolchain.llvm => unfit = Some(linker),
            _ => return Ok((toolchain, linker)),
        }
    }
    Err(match unfit {
        Some(linker) => Missing::NewerLinker(toolchain, linker),
        None => Missing::Linker(toolchain),
    })
}

/// The first toolchain with the sources of `core`: the one in [`TOOLCHAIN_VARIABLE`]; without that, the one that `cargo xtask setup`
/// linked, then rustup's nightly.
pub fn find_toolchain() -> Option<Toolchain> {
    if in_path("rustup").next().is_none() {
        return inspect(None);
    }
    match env::var(TOOLCHAIN_VARIABLE) {
        Ok(name) if !name.is_empty() => inspect(Some(&name)),
        _ => [LINKED_TOOLCHAIN, "nightly"].into_iter().find_map(|name| inspect(Some(name))),
    }
}

/// Every program called `name` in `PATH`, then in cargo's own folder of programs.
pub fn in_path(name: &str) -> impl Iterator<Item = PathBuf> + use<> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).chain(cargo_bin()).collect();
    let name = name.to_owned();
    folders.into_iter().map(move |folder| folder.join(&name)).filter(|program| program.is_file())
}

/// Where `cargo install` puts programs.
pub fn cargo_bin() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    home.or_else(|| env::home_dir().map(|home| home.join(".cargo"))).map(|home| home.join("bin"))
}

fn inspect(name: Option<&str>) -> Option<Toolchain> {
    let mut sysroot = match name {
        Some(name) => command("rustup", &["run", name, "rustc"]),
        None => command("rustc", &[]),
    };
    let sysroot = PathBuf::from(output(sysroot.args(["--print", "sysroot"]))?.trim());
    has_core(&sysroot).then_some(())?;
    let version = output(command(sysroot.join("bin/rustc"), &["-vV"]).env_remove("LD_LIBRARY_PATH"))?;
    let field = |key: &str| version.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    Some(Toolchain {
        name: name.map(str::to_owned),
        release: field("release:")?.to_owned(),
        llvm: field("LLVM version:").and_then(leading_number).unwrap_or_default(),
    })
}

/// Whether this sysroot has what `-Z build-std=core` needs.
fn has_core(sysroot: &Path) -> bool {
    let library = sysroot.join("lib/rustlib/src/rust/library");
    library.join("core/Cargo.toml").is_file() && library.join("Cargo.lock").is_file()
}

fn linkers() -> impl Iterator<Item = Linker> {
    in_path("bpf-linker").map(|path| {
        let libraries = output(command("ldd", &[]).arg(&path)).unwrap_or_default();
        Linker { llvm: linked_llvm(&libraries), path }
    })
}

/// The version in a line of ldd, such as `libLLVM.so.22.1 => …` or `libLLVM-14.so.1 => …`.
fn linked_llvm(ldd: &str) -> Option<u32> {
    let (_, rest) = ldd.split_once("libLLVM")?;
    leading_number(rest.trim_start_matches(|c: char| !c.is_ascii_digit() && !c.is_whitespace()))
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

fn command(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}
