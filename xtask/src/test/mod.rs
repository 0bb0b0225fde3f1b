//! `cargo xtask test`: unit tests, the end-to-end suite on this host, the suite on every kernel of the matrix, one table.

mod cells;
mod host;
mod table;
mod unit;

use std::process::ExitCode;

use anyhow::Result;

use table::HERE;
pub use table::Table;

use crate::project;
use crate::setup::{self, Purpose};
use crate::vm::{self, Console, Index, Job, Request};

/// Which tests run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stages {
    /// All of them.
    All,
    /// Unit tests and the suite on this host.
    Host,
    /// The suite in virtual machines.
    VirtualMachines,
}

/// Sets up, builds once, runs, prints. Goes on after a failure, so that one run shows them all.
pub fn test(stages: Stages, filter: Option<&str>) -> Result<ExitCode> {
    setup::set_up(Purpose::Test)?;
    project::build_release(&["leaktrace", "leaktrace-tests"])?;
    let mut table = Table::default();
    let suite = filter.is_none_or(|filter| host::has_scenario(filter, &mut table));
    if stages != Stages::VirtualMachines {
        unit::run(filter, &mut table).unwrap_or_else(|error| table.add_problem("cargo test", &error));
    }
    if suite && stages != Stages::VirtualMachines {
        host::run(filter, &mut table).unwrap_or_else(|error| table.add_problem(HERE, &error));
    }
    if suite && stages != Stages::Host {
        let job = Job::Suite { hooks: Vec::new(), only: filter.map(str::to_owned).into_iter().collect() };
        let request = Request {
            kernels: Vec::new(),
            index: Index::Cached,
            console: Console::KeepForFailures,
            files: Vec::new(),
            job,
        };
        match vm::boot_all(&request) {
            Ok(outcomes) => outcomes.into_iter().for_each(|outcome| table.add_machine(outcome)),
            Err(error) => table.add_problem("virtual machines", &error),
        }
    }
    println!("{table}");
    Ok(table.exit_code())
}
