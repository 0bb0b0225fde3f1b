//! `cargo test`, with its totals taken down as they pass by.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, Result};

use super::table::Table;
use crate::project;

/// Runs all unit and integration tests of the workspace and prints what they print.
///
/// In the debug profile, for its checks of overflow; without the kernel side, which none of them loads and which would
/// be built a second time.
pub fn run(filter: Option<&str>, table: &mut Table) -> Result<()> {
    let mut test = project::cargo();
    test.args(["test", "--workspace", "--exclude", "leaktrace-ebpf", "--no-fail-fast"]).args(filter);
    test.env("LEAKTRACE_SKIP_BPF", "1").env("LEAKTRACE", project::release_program("leaktrace"));
    eprintln!("$ cargo test --workspace --exclude leaktrace-ebpf --no-fail-fast");
    let mut child = test.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start cargo test")?;
    let mut totals = Totals::default();
    for line in BufReader::new(child.stdout.take().context("cargo test has no output")?).lines() {
        let line = line?;
        println!("{line}");
        totals.add(&line);
    }
    table.add_unit_tests(totals, child.wait()?);
    Ok(())
}

/// Sums over all test programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that were not run.
    pub ignored: usize,
}

impl Totals {
    /// Adds a line like `test result: ok. 3 passed; 0 failed; 1 ignored; …`; any other adds nothing.
    fn add(&mut self, line: &str) {
        let Some((_, sums)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else { return };
        for sum in sums.split("; ") {
            let Some((number, what)) = sum.split_once(' ') else { continue };
            let number: usize = number.parse().unwrap_or_default();
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Totals;

    #[test]
    fn totals_add_up_over_test_programs() {
        let mut totals = Totals::default();
        totals.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        totals.add("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.01s");
        totals.add("test a::b ... ok");
        assert_eq!(totals, Totals { passed: 5, failed: 1, ignored: 1 });
    }
}
