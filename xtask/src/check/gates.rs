//! The gates: which command each runs, and what to do when it fails.

use std::process::{Command, Stdio};

use anyhow::Result;

use super::{cycles, words};
use crate::bpf_side::{self, Toolchain, in_path};
use crate::project;
use crate::results::cell::CellResult;

/// A gate. An error means that its command could not be started.
type Gate = fn() -> Result<CellResult>;

/// All of them, the fast ones first.
pub const GATES: &[(&str, Gate)] = &[
    ("fmt", fmt),
    ("words", words::check),
    ("cycles", cycles::check),
    ("unused-dependencies", unused_dependencies),
    ("deny", deny),
    ("clippy", clippy),
    ("clippy-kernel-side", clippy_kernel_side),
    ("rustdoc", rustdoc),
];

/// The package that builds for the BPF target only.
const KERNEL_SIDE: &str = "leaktrace-ebpf";

fn fmt() -> Result<CellResult> {
    judge(project::cargo().args(["fmt", "--all", "--check"]), "run `cargo fmt --all`")
}

fn clippy() -> Result<CellResult> {
    let mut clippy = project::cargo();
    clippy.args([
        "clippy",
        "--workspace",
        "--exclude",
        KERNEL_SIDE,
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]);
    judge(clippy.env("LEAKTRACE_SKIP_BPF", "1"), "clippy has warnings, see above")
}

fn rustdoc() -> Result<CellResult> {
    let mut doc = project::cargo();
    doc.args(["doc", "--workspace", "--exclude", KERNEL_SIDE, "--no-deps", "--document-private-items", "--quiet"]);
    doc.env("LEAKTRACE_SKIP_BPF", "1").env("RUSTDOCFLAGS", "-D warnings");
    judge(&mut doc, "rustdoc has warnings, see above")
}

/// Lints the kernel side for its target. A toolchain without clippy, such as Debian's, has the compiler's own lints only.
fn clippy_kernel_side() -> Result<CellResult> {
    let Some(Toolchain { name, .. }) = bpf_side::find_toolchain() else {
        return Ok(CellResult::UnexpectedSkip("no toolchain for the kernel side; run `cargo xtask setup`".to_owned()));
    };
    let run = |program: &str| match &name {
        Some(name) => {
            let mut rustup = Command::new("rustup");
            rustup.args(["run", name, program]);
            rustup
        }
        None => Command::new(program),
    };
    let has_clippy = run("cargo-clippy").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let lint = if has_clippy.is_ok_and(|status| status.success()) { "clippy" } else { "check" };
    let mut cargo = run("cargo");
    cargo.args([lint, "--package", KERNEL_SIDE, "--bins", "--quiet", "--target", "bpfel-unknown-none"]);
    cargo.args(["-Z", "build-std=core", "--target-dir"]).arg(project::target().join("kernel-side-check"));
    cargo.env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTC").env_remove("RUSTC_WORKSPACE_WRAPPER");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "--cfg=bpf_target_arch=\"x86_64\"\u{1f}-Dwarnings");
    judge(cargo.current_dir(project::root()), "the kernel side has warnings, see above")
}

/// Licences, bans and sources. Advisories need a database from the network: the hosted workflow checks those.
fn deny() -> Result<CellResult> {
    if !is_installed("cargo-deny") {
        return Ok(missing("cargo-deny"));
    }
    let mut deny = project::cargo();
    deny.args(["deny", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]);
    judge(&mut deny, "cargo-deny objects, see above")
}

fn unused_dependencies() -> Result<CellResult> {
    if !is_installed("cargo-machete") {
        return Ok(missing("cargo-machete"));
    }
    judge(project::cargo().arg("machete"), "a dependency is not used: remove it from its Cargo.toml")
}

fn is_installed(program: &str) -> bool {
    in_path(program).next().is_some()
}

fn missing(program: &str) -> CellResult {
    CellResult::Skip(format!("{program} is not installed; `cargo xtask setup --for check` installs it"))
}

/// Runs a command whose output goes to stderr.
fn judge(command: &mut Command, advice: &str) -> Result<CellResult> {
    let status = project::show_and_run(command.stdin(Stdio::null()).stdout(Stdio::from(std::io::stderr())))?;
    Ok(if status.success() { CellResult::Pass } else { CellResult::Fail(advice.to_owned()) })
}
