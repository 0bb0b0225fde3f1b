//! `cargo test`, with its totals taken down as they pass by, and the skips that the tests say themselves.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use leaktrace_skip::{Expected, FILE_VARIABLE, Skip};

use super::cells::{Cell, CellResult};
use super::table::Table;
use crate::project;
use crate::setup::NOT_BROUGHT;

/// Runs all unit and integration tests of the workspace and prints what they print.
///
/// In the debug profile, for its checks of overflow; without the kernel side, which none of them loads and which would
/// be built a second time.
pub fn run(filter: Option<&str>, table: &mut Table) -> Result<()> {
    let mut test = project::cargo();
    test.args(["test", "--workspace", "--exclude", "leaktrace-ebpf", "--no-fail-fast"]).args(filter);
    test.env("LEAKTRACE_SKIP_BPF", "1").env("LEAKTRACE", project::release_program("leaktrace"));
    let skips = project::target().join("skips");
    take_skips(&skips)?;
    test.env(FILE_VARIABLE, &skips);
    eprintln!("$ cargo test --workspace --exclude leaktrace-ebpf --no-fail-fast");
    let mut child = test.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start cargo test")?;
    let mut totals = Totals::default();
    for line in BufReader::new(child.stdout.take().context("cargo test has no output")?).lines() {
        let line = line?;
        println!("{line}");
        totals.add(&line);
    }
    let status = child.wait()?;
    table.add_unit_tests(totals, take_skips(&skips)?, status);
    Ok(())
}

/// What the tests said that they skipped, each once however often it was said; the next run begins with nothing.
fn take_skips(path: &Path) -> Result<Vec<Cell>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    let skips: BTreeSet<Skip> = text.lines().filter_map(Skip::from_line).collect();
    Ok(skips.into_iter().map(judged).collect())
}

fn judged(skip: Skip) -> Cell {
    let Skip { test, reason, expected } = skip;
    let result = match expected {
        Expected::Yes => CellResult::Skip(reason),
        Expected::No => CellResult::UnexpectedSkip(reason),
        Expected::AsSetUp if NOT_BROUGHT.contains(&reason.as_str()) => {
            CellResult::Skip(format!("{reason} is not installed, and too large to be brought for a test"))
        }
        Expected::AsSetUp => CellResult::UnexpectedSkip(format!("{reason} is not installed")),
    };
    Cell { hook: "unit".to_owned(), scenario: test, result }
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
    use super::*;

    #[test]
    fn a_program_that_the_set_up_brings_is_not_expected_to_be_missing() {
        let skip =
            |program: &str| Skip { test: "a::b".to_owned(), reason: program.to_owned(), expected: Expected::AsSetUp };
        assert!(matches!(judged(skip("chromium")).result, CellResult::Skip(_)));
        assert!(matches!(judged(skip("go")).result, CellResult::UnexpectedSkip(_)));
    }

    #[test]
    fn a_skip_said_twice_is_counted_once_and_not_in_the_next_run() {
        let path = project::target().join(format!("skips-of-test-{}", std::process::id()));
        let line = "expected\ta::b\twhy\n";
        std::fs::write(&path, format!("{line}{line}unexpected\ta::b\twhy\n")).unwrap();
        let of = |result| Cell { hook: "unit".to_owned(), scenario: "a::b".to_owned(), result };
        let found = [CellResult::Skip("why".to_owned()), CellResult::UnexpectedSkip("why".to_owned())].map(of);
        assert_eq!(take_skips(&path).unwrap(), found);
        assert_eq!(take_skips(&path).unwrap(), []);
    }

    #[test]
    fn totals_add_up_over_test_programs() {
        let mut totals = Totals::default();
        totals.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        totals.add("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.01s");
        totals.add("test a::b ... ok");
        assert_eq!(totals, Totals { passed: 5, failed: 1, ignored: 1 });
    }
}
