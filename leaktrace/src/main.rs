//! The program: reads the command line, runs one command, and prints an error as one sentence.

#![warn(unreachable_pub)]

mod cli;
mod command;
mod config;
mod doctor;
mod watch;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command, TopConfig};
use command::Outcome;
use leaktrace_output::{Destination, write_whole};
use leaktrace_symbols::{CountingAllocator, serve_if_helper};
use std::{io::Write, process::ExitCode};

/// Counts what is allocated, for the helper processes.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    serve_if_helper();
    match start(Cli::parse()) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            // If stderr is gone as well, nothing is left to do.
            let _ = writeln!(std::io::stderr(), "leaktrace: {error:#}");
            Outcome::Unable.into()
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = run(cli, &runtime);
    // Does not wait for pool threads: a table that is never read may block one forever.
    runtime.shutdown_background();
    outcome
}

fn run(cli: Cli, runtime: &tokio::runtime::Runtime) -> anyhow::Result<Outcome> {
    match cli.command {
        None => top(runtime, cli.top.try_into()?),
        Some(Command::Top(args)) => top(runtime, (*args).try_into()?),
        Some(Command::Diff(args)) => command::diff(&args),
        Some(Command::Kill(args)) => command::kill((*args).try_into()?),
        Some(Command::Report(args)) => runtime.block_on(command::report((*args).try_into()?)),
        Some(Command::Record(args)) => runtime.block_on(command::record((*args).try_into()?)),
        Some(Command::Run(args)) => runtime.block_on(command::run((*args).try_into()?)),
        Some(Command::Doctor(args)) => command::doctor(args.json),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "leaktrace", &mut script);
            write_whole(&Destination::Stdout, |out| out.write_all(&script))?;
            Ok(Outcome::Done)
        }
    }
}

/// Shows the live view on a terminal, and a plain table elsewhere.
fn top(runtime: &tokio::runtime::Runtime, config: TopConfig) -> anyhow::Result<Outcome> {
    match leaktrace_tui::check_terminal() {
        Ok(()) => command::live(config),
        Err(_) => runtime.block_on(command::top(config)),
    }
}
