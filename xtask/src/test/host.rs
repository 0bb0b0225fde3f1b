//! The end-to-end suite on this host's own kernel.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::progress::{Progress, SuiteProgress};
use crate::project;
use crate::results::cell::{Cell, CellResult};
use crate::results::table::{HERE, Table};
use crate::vm::request::Column;

/// Where a system keeps its programs.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the suite as root, and adds its cells to the table.
pub fn run(name: Option<&str>, column: Column, progress: &Progress, table: &mut Table) -> Result<()> {
    let suite = project::release_program("suite");
    let leaktrace = project::release_program("leaktrace");
    let mut command = Command::new("env");
    if !project::is_root() {
        command = Command::new("sudo");
        command.arg("env").args(kept(|name| env::var_os(name)));
    }
    command.arg(format!("LEAKTRACE={}", leaktrace.display())).arg(suite);
    match name {
        Some(name) => _ = command.args(["--only", name]),
        None if column == Column::Short => _ = command.arg("--short"),
        None => {}
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start the suite")?;
    let mut cells = Vec::new();
    let mut parts = SuiteProgress::new(progress, HERE);
    for line in BufReader::new(child.stdout.take().context("the suite has no output")?).lines() {
        let line = line?;
        parts.line(&line);
        let cell = Cell::parse(&line);
        // Cells that pass are counted and not printed: hundreds of such lines would hide the rest.
        if cell.as_ref().is_none_or(|cell| cell.result != CellResult::Pass) && !line.starts_with("step ") {
            println!("{line}");
        }
        cells.extend(cell);
    }
    parts.end();
    table.add_host(cells, child.wait()?);
    Ok(())
}

/// Variables that sudo removes and that the suite needs to find compilers in a home folder: assignments for `env`. The system's own
/// programs come first.
fn kept(variable: impl Fn(&str) -> Option<OsString>) -> Vec<OsString> {
    let mut path = OsString::from(format!("PATH={SYSTEM_PATH}"));
    if let Some(users) = variable("PATH") {
        path.push(":");
        path.push(users);
    }
    let assigned = |name: &str| {
        let mut assignment = OsString::from(format!("{name}="));
        assignment.push(variable(name)?);
        Some(assignment)
    };
    // From cargo, which has them from rustup. Without RUSTUP_HOME, rustup would look in root's home.
    ["RUSTUP_HOME", "RUSTUP_TOOLCHAIN"].into_iter().filter_map(assigned).chain([path]).collect()
}

/// How a name fits the suite's scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It is the name of one.
    Exact,
    /// It is part of a name.
    Part,
    /// It is in no name.
    None,
}

/// How a name fits. The table notes a name that fits no scenario. When the suite cannot list its scenarios, the name may fit.
pub fn find(name: &str, table: &mut Table) -> Match {
    let listed = project::output_of(Command::new(project::release_program("suite")).arg("--list"));
    let found = listed.map_or(Match::Part, |list| fit(name, &list));
    if found == Match::None {
        table.add_note(format!("no scenario's name contains {name}: neither the suite nor a machine was started"));
    }
    found
}

fn fit(name: &str, list: &str) -> Match {
    match () {
        () if names(list).any(|known| known == name) => Match::Exact,
        () if names(list).any(|known| known.contains(name)) => Match::Part,
        () => Match::None,
    }
}

/// The scenarios in the suite's own list, each the last word of its line.
fn names(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter_map(|line| line.split_whitespace().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_in_a_home_are_found_after_those_of_the_system() {
        let user = |name: &str| (name != "RUSTUP_TOOLCHAIN").then(|| OsString::from(format!("/home/{name}")));
        let path = format!("PATH={SYSTEM_PATH}");
        assert_eq!(kept(user), ["RUSTUP_HOME=/home/RUSTUP_HOME", &format!("{path}:/home/PATH")]);
        assert_eq!(kept(|_| None), [path.as_str()]);
    }

    #[test]
    fn a_name_is_that_of_a_scenario_or_part_of_one_or_neither() {
        let list = "Foundation AfterTracer fifty\nLeak BeforeTracer never-read@before\n";
        let fits = [fit("fifty", list), fit("never-read", list), fit("Leak", list)];
        assert_eq!(fits, [Match::Exact, Match::Part, Match::None]);
    }
}
