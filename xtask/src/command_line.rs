//! The arguments of `cargo xtask`. Decides which module gets them and nothing else.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::test::{Extent, Places, Scope};
use crate::vm::kernels::Index;
use crate::vm::request::{Column, Console, Job, Request};
use crate::{bench, check, run, setup, test, vm};

/// Set-up, runs, tests, virtual machines and benchmarks of leaktrace.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what is missing to build leaktrace, kernel side included; does nothing when nothing is missing
    Setup {
        /// What to prepare for
        #[arg(long = "for", value_name = "WHAT", value_enum, default_value_t = setup::Purpose::Build)]
        purpose: setup::Purpose,
    },
    /// Sets up, builds and runs leaktrace; asks for sudo for the run only
    Run {
        /// Arguments for leaktrace
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Sets up and runs tests: checks, unit tests, end to end on this host, and in virtual machines a short column of three kernels
    Test(TestArguments),
    /// Checks format, lints, documentation, dependencies, circles of imports and banned words
    Check {
        /// One of them; all without it
        name: Option<String>,
    },
    /// Boots kernels of the matrix, or one given, and runs the end-to-end suite or a command in them
    Vm(VmArguments),
    /// Measures what leaktrace costs on this host; prints figures and never fails on time
    Bench(bench::Request),
}

#[derive(Args)]
struct TestArguments {
    /// Unit tests and a short column on this host: under 3 minutes on a warm build
    #[arg(long, conflicts_with_all = ["all", "vm_only"])]
    quick: bool,
    /// Every scenario on every kernel of the matrix: hours
    #[arg(long)]
    all: bool,
    /// No virtual machines
    #[arg(long, conflicts_with = "vm_only")]
    host_only: bool,
    /// Virtual machines only
    #[arg(long)]
    vm_only: bool,
    /// A scenario by its name, or all scenarios and unit tests whose name contains this. On this host only, unless --all or
    /// --vm-only is given
    #[arg(last = true)]
    name: Option<String>,
}

impl TestArguments {
    fn scope(&self) -> Scope {
        let extent = match (self.quick, self.all) {
            (true, _) => Extent::Quick,
            (_, true) => Extent::All,
            _ => Extent::Usual,
        };
        let places = match (self.host_only, self.vm_only) {
            (true, _) => Places::Host,
            (_, true) => Places::VirtualMachines,
            _ => Places::Everywhere,
        };
        Scope::of(extent, places, self.name.as_deref())
    }
}

#[derive(Args)]
struct VmArguments {
    /// A kernel image (bzImage) to boot instead of the matrix
    #[arg(long, value_name = "FILE")]
    kernel: Vec<std::path::PathBuf>,
    /// Kinds of hook to test
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    hooks: Vec<String>,
    /// The scenario NAME, or scenarios whose name contains it; all without it
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// A few scenarios of each kind
    #[arg(long)]
    short: bool,
    /// Copies a file into the machine, under the same path
    #[arg(long, value_name = "FILE")]
    with: Vec<std::path::PathBuf>,
    /// Looks for newer kernels in the package index
    #[arg(long)]
    refresh: bool,
    /// Prints the console
    #[arg(long, short)]
    verbose: bool,
    /// A command for the machine instead of the suite; leaktrace and suite are in its PATH
    #[arg(last = true)]
    command: Vec<String>,
}

impl CommandLine {
    /// Runs the command; the status is the one to exit with.
    pub fn execute(self) -> Result<ExitCode> {
        match self.command {
            Command::Setup { purpose } => setup::set_up(purpose).map(|()| ExitCode::SUCCESS),
            Command::Run { arguments } => run::run(&arguments).map(|never| match never {}),
            Command::Test(arguments) => test::test(arguments.scope(), arguments.name.as_deref()),
            Command::Check { name } => check::command(name.as_deref()),
            Command::Vm(arguments) => vm::command(arguments.into()),
            Command::Bench(request) => bench::bench(request),
        }
    }
}

impl From<VmArguments> for Request {
    fn from(arguments: VmArguments) -> Self {
        let job = if arguments.command.is_empty() {
            let column = if arguments.short { Column::Short } else { Column::Full };
            Job::Suite { hooks: arguments.hooks, only: arguments.only, column }
        } else {
            Job::Command(arguments.command)
        };
        Self {
            kernels: arguments.kernel,
            index: if arguments.refresh { Index::Refresh } else { Index::Cached },
            console: if arguments.verbose { Console::Print } else { Console::KeepForFailures },
            files: arguments.with,
            job,
        }
    }
}
