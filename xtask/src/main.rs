//! The project's own commands: `cargo xtask setup | run | test | vm | bench`. Parses the command line; each command has its module.

mod bench;
#[path = "../../leaktrace/kernel/build/bpf_side.rs"]
mod bpf_side;
mod command_line;
mod project;
mod run;
mod setup;
mod test;
mod vm;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match command_line::CommandLine::parse().execute() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
