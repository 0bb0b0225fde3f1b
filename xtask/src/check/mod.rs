//! `cargo xtask check`: format, lints, documentation, dependencies, circles of imports and banned words. Each is one cell of the results.
//!
//! Tools that do not come with Rust are used where they are installed; `cargo xtask setup --for check` installs them.

mod comments;
mod cycles;
mod gates;
mod words;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::results::cell::{Cell, CellResult};
use crate::results::table::Table;
use gates::GATES;

/// Runs every gate, or the one that is named, and prints a table.
pub fn command(only: Option<&str>) -> Result<ExitCode> {
    let mut table = Table::default();
    table.add_checks(run_some(|name| only.is_none_or(|only| only == name)));
    if let Some(only) = only
        && !GATES.iter().any(|(name, _)| *name == only)
    {
        let names: Vec<&str> = GATES.iter().map(|(name, _)| *name).collect();
        bail!("no check is called {only}; there are {}", names.join(", "));
    }
    println!("{table}");
    Ok(table.exit_code())
}

/// Runs every gate; one cell each.
pub fn run() -> Vec<Cell> {
    run_some(|_| true)
}

fn run_some(wanted: impl Fn(&str) -> bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (name, gate) in GATES.iter().filter(|(name, _)| wanted(name)) {
        let start = Instant::now();
        let result = gate().unwrap_or_else(|error| CellResult::Fail(format!("{error:#}")));
        let word = match &result {
            CellResult::Pass => "PASS".to_owned(),
            CellResult::Fail(why) => format!("FAIL {why}"),
            CellResult::Skip(why) | CellResult::UnexpectedSkip(why) => format!("SKIP {why}"),
        };
        eprintln!("    check {name}: {word} ({:.0} s)", start.elapsed().as_secs_f64());
        cells.push(Cell { hook: "check".to_owned(), scenario: (*name).to_owned(), result });
    }
    cells
}
