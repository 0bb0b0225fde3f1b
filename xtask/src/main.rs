//! The project's own commands: `cargo xtask setup | run | test | check | vm | bench`. Parses the command line; each command has its module.

mod bench;
#[path = "../../leaktrace/kernel/build/bpf_side.rs"]
mod bpf_side;
mod check;
mod command_line;
mod debian;
mod progress;
mod project;
mod results;
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
