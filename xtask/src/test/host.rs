//! The end-to-end suite on this host's own kernel.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::cells::Cell;
use super::table::Table;
use crate::project;

/// Where a system keeps its programs.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the suite, as root, and takes its lines down.
pub fn run(filter: Option<&str>, table: &mut Table) -> Result<()> {
    let suite = project::release_program("suite");
    let leaktrace = project::release_program("leaktrace");
    let mut command = Command::new("env");
    if !project::is_root() {
        command = Command::new("sudo");
        command.arg("env").args(kept(|name| env::var_os(name)));
    }
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

/// What sudo takes away and the suite needs to find compilers in somebody's home: assignments for `env`. The system's own programs
/// come first.
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
    // As cargo has them from rustup, which would look for the first in root's home.
    ["RUSTUP_HOME", "RUSTUP_TOOLCHAIN"].into_iter().filter_map(assigned).chain([path]).collect()
}

/// Whether the suite has a scenario whose name contains this; the table says so when not. When that cannot be asked, it may have.
pub fn has_scenario(filter: &str, table: &mut Table) -> bool {
    let listed = project::output_of(Command::new(project::release_program("suite")).arg("--list"));
    let found = listed.map_or(true, |list| names(&list).any(|name| name.contains(filter)));
    if !found {
        table.add_note(format!("no scenario's name contains {filter}: neither the suite nor a machine was started"));
    }
    found
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
    fn scenarios_are_told_from_what_else_the_list_says() {
        let list = "Foundation AfterTracer fifty\nLeak BeforeTracer never-read@before\n";
        assert_eq!(names(list).collect::<Vec<_>>(), ["fifty", "never-read@before"]);
    }
}
