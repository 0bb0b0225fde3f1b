//! `cargo xtask test`: checks, unit tests, the end-to-end suite on this host and on kernels of the matrix, one table.

mod host;
mod scope;
mod unit;

use std::process::ExitCode;

use anyhow::Result;

pub use scope::{Extent, Places, Scope};

use crate::check;
use crate::progress::Progress;
use crate::project;
use crate::results::count::Count;
use crate::results::table::{HERE, Table};
use crate::setup::{self, Purpose};
use crate::vm;
use crate::vm::kernels::{Index, Kernel};
use crate::vm::request::{Column, Console, HOOKS, Job, Request};
use host::Match;

/// Sets up, builds once, runs, prints. Goes on after a failure, so that one run shows every failure.
pub fn test(scope: Scope, name: Option<&str>) -> Result<ExitCode> {
    setup::set_up(Purpose::Test)?;
    project::build_release(&["leaktrace", "leaktrace-tests"])?;
    let mut table = Table::default();
    let found = name.map_or(Match::Part, |name| host::find(name, &mut table));
    // The name of one scenario names no unit test.
    let unit_tests = scope.includes_host() && found != Match::Exact;
    let checks = scope.extent != Extent::Quick && scope.includes_host() && name.is_none();
    let suite = found != Match::None;
    let kernels = match suite && scope.includes_machines() {
        true => kernels(scope).unwrap_or_else(|error| {
            table.add_problem("virtual machines", &error);
            Vec::new()
        }),
        false => Vec::new(),
    };
    let host = suite && scope.includes_host();
    let parts = usize::from(checks) + usize::from(unit_tests) + (usize::from(host) + kernels.len()) * HOOKS;
    let progress = Progress::new(parts);
    if checks {
        let part = progress.part("checks");
        let cells = check::run();
        part.done(&Count::of(&cells).to_string());
        table.add_checks(cells);
    }
    if unit_tests {
        let selection = if scope.extent == Extent::Quick { unit::Selection::Quick } else { unit::Selection::All };
        let done = unit::run(selection, name, &progress, &mut table);
        done.unwrap_or_else(|error| table.add_problem("cargo test", &error));
    }
    if host {
        let done = host::run(name, scope.host_column(), &progress, &mut table);
        done.unwrap_or_else(|error| table.add_problem(HERE, &error));
    }
    if !kernels.is_empty() {
        match vm::boot_all(&request(name, scope.machine_column()), &kernels, &progress) {
            Ok(outcomes) => outcomes.into_iter().for_each(|outcome| table.add_machine(outcome)),
            Err(error) => table.add_problem("virtual machines", &error),
        }
    }
    println!("{table}");
    Ok(table.exit_code())
}

fn kernels(scope: Scope) -> Result<Vec<Kernel>> {
    match scope.extent {
        Extent::All => vm::kernels::matrix(Index::Cached),
        _ => vm::short_matrix(),
    }
}

/// The suite. A scenario that is named is played whether or not it is in the short column.
fn request(name: Option<&str>, column: Column) -> Request {
    let column = if name.is_some() { Column::Full } else { column };
    let job = Job::Suite { hooks: Vec::new(), only: name.map(str::to_owned).into_iter().collect(), column };
    Request { kernels: Vec::new(), index: Index::Cached, console: Console::KeepForFailures, files: Vec::new(), job }
}
