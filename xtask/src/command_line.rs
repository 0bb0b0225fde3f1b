//! What can be typed after `cargo xtask`. Decides nothing but which module gets the words.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::{bench, run, setup, test, vm};

/// Set-up, runs, tests, virtual machines and benchmarks of leaktrace.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Brings what is missing to build leaktrace, kernel side included; does nothing when nothing is missing
    Setup {
        /// What it is brought for
        #[arg(long = "for", value_name = "WHAT", value_enum, default_value_t = setup::Purpose::Build)]
        purpose: setup::Purpose,
    },
    /// Sets up, builds and runs leaktrace; asks for sudo for the run only
    Run {
        /// Arguments for leaktrace
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Sets up and runs every test: unit tests, end to end on this host, end to end in virtual machines
    Test(TestArguments),
    /// Boots kernels of the matrix, or one given, and runs the end-to-end suite or a command in them
    Vm(VmArguments),
    /// Measures what leaktrace costs on this host; prints figures and never fails on time
    Bench(bench::Request),
}

#[derive(Args)]
struct TestArguments {
    /// Unit tests and this host, no virtual machines
    #[arg(long, conflicts_with = "vm_only")]
    host_only: bool,
    /// Virtual machines only
    #[arg(long)]
    vm_only: bool,
    /// Unit tests and end-to-end scenarios whose name contains this; unit tests alone where no scenario's does
    #[arg(last = true)]
    filter: Option<String>,
}

#[derive(Args)]
struct VmArguments {
    /// A kernel image (bzImage) to boot in place of the matrix
    #[arg(long, value_name = "FILE")]
    kernel: Vec<std::path::PathBuf>,
    /// Kinds of hook to test
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    hooks: Vec<String>,
    /// Scenarios whose name contains NAME; all without it
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Copies a file into the machine, under the same path
    #[arg(long, value_name = "FILE")]
    with: Vec<std::path::PathBuf>,
    /// Looks for newer kernels in the package index
    #[arg(long)]
    refresh: bool,
    /// Prints the console
    #[arg(long, short)]
    verbose: bool,
    /// A command for the machine in place of the suite; leaktrace and suite are in its PATH
    #[arg(last = true)]
    command: Vec<String>,
}

impl CommandLine {
    /// Runs the command; the status is the one to exit with.
    pub fn execute(self) -> Result<ExitCode> {
        match self.command {
            Command::Setup { purpose } => setup::set_up(purpose).map(|()| ExitCode::SUCCESS),
            Command::Run { arguments } => run::run(&arguments).map(|never| match never {}),
            Command::Test(TestArguments { host_only, vm_only, filter }) => {
                let stages = match (host_only, vm_only) {
                    (true, _) => test::Stages::Host,
                    (_, true) => test::Stages::VirtualMachines,
                    _ => test::Stages::All,
                };
                test::test(stages, filter.as_deref())
            }
            Command::Vm(arguments) => vm::command(arguments.into()),
            Command::Bench(request) => bench::bench(request),
        }
    }
}

impl From<VmArguments> for vm::Request {
    fn from(arguments: VmArguments) -> Self {
        let job = if arguments.command.is_empty() {
            vm::Job::Suite { hooks: arguments.hooks, only: arguments.only }
        } else {
            vm::Job::Command(arguments.command)
        };
        Self {
            kernels: arguments.kernel,
            index: if arguments.refresh { vm::Index::Refresh } else { vm::Index::Cached },
            console: if arguments.verbose { vm::Console::Print } else { vm::Console::KeepForFailures },
            files: arguments.with,
            job,
        }
    }
}
