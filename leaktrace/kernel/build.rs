//! Builds the kernel side into `OUT_DIR/leaktrace`, so that the program carries it inside.
//!
//! If the tools for that are missing, a debug build goes on without the kernel side (`cfg(no_kernel_object)`, an empty object), because
//! checks, lints and unit tests need stable Rust only. A release build stops and says what to run. `build/bpf_side.rs` decides what is
//! missing. Nothing is installed here.

#[path = "build/bpf_side.rs"]
mod bpf_side;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use aya_build::{Package, Toolchain};

/// If this variable is 1, the build leaves out the kernel side, on any machine and in any profile.
const SKIP: &str = "LEAKTRACE_SKIP_BPF";

/// The object's name in `OUT_DIR`: the binary of the package `leaktrace-ebpf`.
const OBJECT: &str = "leaktrace";

fn main() -> ExitCode {
    println!("cargo::rustc-check-cfg=cfg(no_kernel_object)");
    for path in
        ["build.rs", "build", "../../leaktrace-ebpf", "../../leaktrace-common", "../../Cargo.toml", "../../Cargo.lock"]
    {
        println!("cargo::rerun-if-changed={path}");
    }
    for variable in [SKIP, bpf_side::TOOLCHAIN_VARIABLE] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let outcome = if env::var(SKIP).is_ok_and(|value| value == "1") {
        leave_out()
    } else {
        match bpf_side::find() {
            Ok((toolchain, linker)) => build(&toolchain, &linker),
            Err(missing) if release => {
                Err(format!("the kernel side cannot be built: {missing}; run `cargo xtask setup`"))
            }
            Err(missing) => {
                println!(
                    "cargo::warning=built without the kernel side, enough for checks and unit tests: {missing}; \
                     `cargo xtask setup` brings it"
                );
                leave_out()
            }
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::SUCCESS
        }
    }
}

fn build(toolchain: &bpf_side::Toolchain, linker: &bpf_side::Linker) -> Result<(), String> {
    let endian = env::var("CARGO_CFG_TARGET_ENDIAN").unwrap_or_default();
    let target = if endian == "big" { "BPFEB" } else { "BPFEL" };
    let linker_variable = format!("CARGO_TARGET_{target}_UNKNOWN_NONE_LINKER");
    // The nested cargo inherits these. Quiet, because each line of its progress would become a warning here.
    let variables = [
        ("RUSTC_BOOTSTRAP", "1".as_ref()),
        ("CARGO_TERM_QUIET", "true".as_ref()),
        (linker_variable.as_str(), linker.path.as_os_str()),
    ];
    for (name, value) in variables {
        // SAFETY: a build script has one thread until `build_ebpf` starts its own, below.
        unsafe { env::set_var(name, value) };
    }
    let package = Package { name: "leaktrace-ebpf", root_dir: "../../leaktrace-ebpf", ..Package::default() };
    let toolchain = toolchain.name.as_deref().map_or(Toolchain::Nightly, Toolchain::Custom);
    aya_build::build_ebpf([package], toolchain).map_err(|error| {
        let causes: Vec<String> = error.chain().map(|cause| cause.to_string().replace('\n', " ")).collect();
        format!("the kernel side does not build: {}", causes.join(": "))
    })?;
    let object = object_path()?;
    object.is_file().then_some(()).ok_or_else(|| format!("the kernel side built, but not into {}", object.display()))
}

/// Writes an empty object, and sets the cfg that says so.
fn leave_out() -> Result<(), String> {
    println!("cargo::rustc-cfg=no_kernel_object");
    // A bpf-linker that is missing now will be installed there.
    if let Some(folder) = bpf_side::cargo_bin().filter(|folder| folder.is_dir()) {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    let object = object_path()?;
    fs::write(&object, []).map_err(|error| format!("cannot write {}: {error}", object.display()))
}

fn object_path() -> Result<PathBuf, String> {
    env::var_os("OUT_DIR").map(|folder| PathBuf::from(folder).join(OBJECT)).ok_or_else(|| "OUT_DIR is not set".into())
}
