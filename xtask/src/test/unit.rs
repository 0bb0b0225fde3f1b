//! `cargo test`: its totals, and the tests that skipped themselves.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use leaktrace_skip::{Expected, FILE_VARIABLE, Skip};
use serde_json::Value;

use crate::progress::Progress;
use crate::project;
use crate::results::cell::{Cell, CellResult};
use crate::results::table::{Table, Totals};
use crate::setup::NOT_BROUGHT;

/// Which unit tests run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Those of every package, except the end-to-end tests of the command line, which watch for minutes.
    Quick,
    /// Those of every package.
    All,
}

impl Selection {
    /// The command lines of cargo, without `test`.
    fn commands(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Quick => &[
                &["--workspace", "--exclude", "leaktrace-ebpf", "--exclude", "leaktrace-tests"],
                &["--package", "leaktrace-tests", "--lib"],
            ],
            Self::All => &[&["--workspace", "--exclude", "leaktrace-ebpf"]],
        }
    }
}

/// Runs unit and integration tests of the workspace, and prints what they print except for tests that pass.
///
/// In the debug profile, for its overflow checks. Without the kernel side: no unit test loads it, and it would be built a second
/// time.
pub fn run(selection: Selection, filter: Option<&str>, progress: &Progress, table: &mut Table) -> Result<()> {
    let part = progress.part("unit tests");
    let mut programs = 0;
    for arguments in selection.commands() {
        part.step("builds test programs");
        programs += count_programs(arguments)?;
    }
    let (mut done, mut all) = (0, Totals::default());
    for arguments in selection.commands() {
        let skips = project::target().join("skips");
        take_skips(&skips)?;
        let mut test = cargo_test(arguments);
        test.arg("--no-fail-fast").args(filter).env(FILE_VARIABLE, &skips);
        let mut child = test.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start cargo test")?;
        let mut totals = Totals::default();
        for line in BufReader::new(child.stdout.take().context("cargo test has no output")?).lines() {
            let line = line?;
            if let Some(program) = Totals::parse(&line) {
                done += 1;
                totals = totals.plus(program);
                if program.passed + program.failed > 0 {
                    let left = programs.max(done) - done;
                    part.step(&format!(
                        "{} passed, {} failed; {left} test programs left",
                        program.passed, program.failed
                    ));
                }
            }
            if !is_noise(&line) {
                println!("{line}");
            }
        }
        let status = child.wait()?;
        table.add_unit_tests(totals, take_skips(&skips)?, status);
        all = all.plus(totals);
    }
    part.done(&format!("{} passed, {} failed", all.passed, all.failed));
    Ok(())
}

fn cargo_test(arguments: &[&str]) -> Command {
    let mut test = project::cargo();
    test.arg("test").args(arguments);
    test.env("LEAKTRACE_SKIP_BPF", "1").env("LEAKTRACE", project::release_program("leaktrace"));
    test
}

/// Builds the test programs and counts them.
fn count_programs(arguments: &[&str]) -> Result<usize> {
    let mut build = cargo_test(arguments);
    build.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let messages = project::output_of(&mut build)?;
    let is_program = |line: &&str| {
        let message: Value = serde_json::from_str(line).unwrap_or_default();
        message["executable"].is_string() && message["profile"]["test"] == true
    };
    Ok(messages.lines().filter(is_program).count())
}

/// Lines of which there are hundreds, one for each test that passes.
fn is_noise(line: &str) -> bool {
    line.is_empty() || line.starts_with("running ") || (line.starts_with("test ") && line.ends_with("... ok"))
}

/// The skips that tests wrote down, each once. Removes the file, so that the next run begins with nothing.
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
            CellResult::Skip(format!("{reason} is not installed, and set-up does not install it: it is too large"))
        }
        Expected::AsSetUp => CellResult::UnexpectedSkip(format!("{reason} is not installed")),
    };
    Cell { hook: "unit".to_owned(), scenario: test, result }
}

impl Totals {
    /// Reads a line like `test result: ok. 3 passed; 0 failed; 1 ignored; …`; `None` for any other.
    fn parse(line: &str) -> Option<Self> {
        let (_, sums) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let mut totals = Self::default();
        for sum in sums.split("; ") {
            let Some((number, what)) = sum.split_once(' ') else { continue };
            let number: usize = number.parse().unwrap_or_default();
            match what {
                "passed" => totals.passed = number,
                "failed" => totals.failed = number,
                "ignored" => totals.ignored = number,
                _ => {}
            }
        }
        Some(totals)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
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
    fn totals_are_read_from_the_last_line_of_a_test_program() {
        let line = "test result: FAILED. 2 passed; 1 failed; 3 ignored; 0 measured; 5 filtered out; finished in 0.01s";
        let totals = Totals { passed: 2, failed: 1, ignored: 3 };
        assert_eq!(Totals::parse(line), Some(totals));
        assert_eq!(totals.plus(totals), Totals { passed: 4, failed: 2, ignored: 6 });
        assert_eq!(Totals::parse("test a::b ... ok"), None);
    }

    #[test]
    fn a_test_that_fails_is_printed() {
        assert!(is_noise("test a::b ... ok") && is_noise("running 3 tests"));
        assert!(!is_noise("test a::b ... FAILED") && !is_noise("thread 'a::b' panicked at src/a.rs:1:1:"));
    }
}
