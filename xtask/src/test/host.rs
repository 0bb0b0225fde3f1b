//! The end-to-end suite on this host's own kernel.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::cells::Cell;
use super::table::Table;
use crate::project;

/// Runs the suite, as root, and takes its lines down.
pub fn run(filter: Option<&str>, table: &mut Table) -> Result<()> {
    let suite = project::release_program("suite");
    let leaktrace = project::release_program("leaktrace");
    let mut command = Command::new(if project::is_root() { "env" } else { "sudo" });
    command.arg(format!("LEAKTRACE={}", leaktrace.display())).arg(suite);
    if let Some(filter) = filter {
        command.args(["--only", filter]);
    }
    eprintln!("$ suite, on this host");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start the suite")?;
    let mut cells = Vec::new();
    for line in BufReader::new(child.stdout.take().context("the suite has no output")?).lines() {
        let line = line?;
        println!("{line}");
        cells.extend(Cell::parse(&line));
    }
    table.add_host(cells, child.wait()?);
    Ok(())
}
