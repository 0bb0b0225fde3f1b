//! All results of a run: a row for each kernel, a column for each kind of hook, reasons below, one line of totals at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::{ExitCode, ExitStatus};

use anyhow::Error;

use super::cell::{Cell, CellResult};
use super::count::Count;
use crate::vm::outcome::{End, Outcome};

/// Lines of a console that are printed when a machine did not finish its job.
const LAST_LINES: usize = 25;

/// The row of tests that run in no virtual machine.
pub const HERE: &str = "this host";

/// What was found so far.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
    unit: Totals,
    /// Unit tests that skipped themselves, wholly or in part; the harness counts these as passed.
    unit_skips: Vec<Cell>,
    checks: Vec<Cell>,
    problems: Vec<String>,
    notes: Vec<String>,
    /// How many machines died while booting and were booted again.
    boots_repeated: u32,
}

/// The sums that `cargo test` prints, over all test programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that were not run.
    pub ignored: usize,
}

struct Row {
    place: String,
    cells: Vec<Cell>,
}

impl Table {
    /// The totals of `cargo test`, and which tests skipped themselves. May be called again for another part of the unit tests.
    pub fn add_unit_tests(&mut self, totals: Totals, skips: Vec<Cell>, status: ExitStatus) {
        // A test that skipped a part of itself has not passed either.
        let tests: BTreeSet<&str> = skips.iter().map(|skip| skip.scenario.as_str()).collect();
        self.unit.passed += totals.passed.saturating_sub(tests.len());
        self.unit.failed += totals.failed;
        self.unit.ignored += totals.ignored;
        self.unit_skips.extend(skips);
        if !status.success() && totals.failed == 0 {
            self.problems
                .push(format!("cargo test: {status}, though no test failed: a test program does not build or died"));
        }
    }

    /// Results of `cargo xtask check`.
    pub fn add_checks(&mut self, cells: Vec<Cell>) {
        self.checks.extend(cells);
    }

    /// The suite on this host.
    pub fn add_host(&mut self, cells: Vec<Cell>, status: ExitStatus) {
        self.judge_suite(HERE, &cells, status.code());
        self.rows.push(Row { place: HERE.to_owned(), cells });
    }

    /// The suite in a machine.
    pub fn add_machine(&mut self, outcome: Outcome) {
        let cells: Vec<Cell> = outcome.console.iter().filter_map(|line| Cell::parse(line)).collect();
        let place = outcome.kernel;
        if outcome.boots_repeated > 0 {
            self.notes.push(format!("{place}: the machine died while it booted and was booted again"));
            self.boots_repeated += outcome.boots_repeated;
        }
        self.notes.push(format!("{place}: {:.0} s", outcome.seconds));
        if let End::Finished(status) = outcome.end {
            self.judge_suite(&place, &cells, Some(status));
        } else if let End::Lost(why) = outcome.end {
            self.problems.push(format!("{place}: {why}"));
        } else {
            let last = outcome.console.len().saturating_sub(LAST_LINES);
            let last = outcome.console[last..].join("\n    ");
            self.problems.push(format!(
                "{place}: {}; its console, {}, ends:\n    {last}",
                outcome.end,
                outcome.log.display()
            ));
        }
        self.rows.push(Row { place, cells });
    }

    /// A part of the run that could not run at all.
    pub fn add_problem(&mut self, place: &str, error: &Error) {
        self.problems.push(format!("{place}: {error:#}"));
    }

    /// Something to know that is no failure.
    pub fn add_note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// The suite's exit status and its lines must agree, or something was not printed.
    fn judge_suite(&mut self, place: &str, cells: &[Cell], status: Option<i32>) {
        let count = Count::of(cells);
        if cells.is_empty() {
            self.problems.push(format!("{place}: the suite ran nothing (exit status {status:?})"));
        } else if status != Some(0) && count.failed + count.unexpected == 0 {
            self.problems.push(format!("{place}: exit status {status:?} of the suite, though no cell failed"));
        }
    }

    /// Failure if anything failed, was skipped unexpectedly, or if nothing ran.
    pub fn exit_code(&self) -> ExitCode {
        let total = self.total();
        let bad = total.failed + total.unexpected > 0 || total.passed + total.skipped == 0;
        if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn total(&self) -> Count {
        let unit = Count {
            passed: self.unit.passed,
            failed: self.unit.failed,
            skipped: self.unit.ignored,
            ..Count::default()
        };
        let problems = Count { failed: self.problems.len(), ..Count::default() };
        let unit = unit.plus(Count::of(&self.unit_skips)).plus(Count::of(&self.checks));
        self.rows.iter().map(|row| Count::of(&row.cells)).fold(unit.plus(problems), Count::plus)
    }

    fn hooks(&self) -> Vec<&str> {
        let all = self.rows.iter().flat_map(|row| &row.cells).map(|cell| cell.hook.as_str());
        let mut seen = BTreeSet::new();
        all.filter(|hook| seen.insert(*hook)).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hooks = self.hooks();
        let width = self.rows.iter().map(|row| row.place.chars().count()).max().unwrap_or_default().max(6);
        if !self.rows.is_empty() {
            write!(f, "\n{:width$}", "kernel")?;
            hooks.iter().try_for_each(|hook| write!(f, "  {hook:<28}"))?;
            for row in &self.rows {
                write!(f, "\n{:width$}", row.place)?;
                for hook in &hooks {
                    let cells = row.cells.iter().filter(|cell| cell.hook == *hook);
                    write!(f, "  {:<28}", Count::of(cells).to_string())?;
                }
            }
            writeln!(f, "\n")?;
        }
        for (text, places) in self.reasons() {
            writeln!(f, "{text}\n    {}", places.join(", "))?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note {note}"))?;
        self.problems.iter().try_for_each(|problem| writeln!(f, "FAIL {problem}"))?;
        if self.unit != Totals::default() || !self.unit_skips.is_empty() {
            writeln!(
                f,
                "unit tests: {} passed, {} failed, {} ignored, {} skips",
                self.unit.passed,
                self.unit.failed,
                self.unit.ignored,
                self.unit_skips.len()
            )?;
        }
        if !self.checks.is_empty() {
            writeln!(f, "checks: {}", Count::of(&self.checks))?;
        }
        if self.boots_repeated > 0 {
            writeln!(f, "boots of virtual machines that were repeated: {}", self.boots_repeated)?;
        }
        let total = self.total();
        if total.unexpected > 0 {
            writeln!(f, "{} skips were not expected and count as failures", total.unexpected)?;
        }
        write!(f, "{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped + total.unexpected)
    }
}

impl Table {
    /// Everything that did not pass, equal reasons together, with the places where it happened.
    fn reasons(&self) -> BTreeMap<String, Vec<String>> {
        let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let of_suites = self.rows.iter().flat_map(|row| row.cells.iter().map(|cell| (row.place.as_str(), cell)));
        let of_this_host = self.unit_skips.iter().chain(&self.checks).map(|cell| (HERE, cell));
        for (place, cell) in of_suites.chain(of_this_host) {
            let place = format!("{place} {}", cell.hook);
            let exactly = format!("{place} {}", cell.scenario);
            let (text, place) = match &cell.result {
                CellResult::Pass => continue,
                CellResult::Fail(why) => (format!("FAIL {}: {why}", cell.scenario), place),
                CellResult::Skip(why) => (format!("SKIP {why}"), exactly),
                CellResult::UnexpectedSkip(why) => (format!("SKIP, unexpected: {why}"), exactly),
            };
            reasons.entry(text).or_default().push(place);
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    fn skip(result: CellResult) -> Cell {
        Cell { hook: "unit".to_owned(), scenario: "a::b".to_owned(), result }
    }

    #[test]
    fn a_unit_test_that_was_skipped_has_not_passed() {
        let mut table = Table::default();
        let totals = Totals { passed: 3, failed: 0, ignored: 0 };
        table.add_unit_tests(totals, vec![skip(CellResult::Skip("no go".to_owned()))], ExitStatus::from_raw(0));
        assert_eq!(table.exit_code(), ExitCode::SUCCESS);
        let text = table.to_string();
        assert!(text.ends_with("2 passed, 0 failed, 1 skipped"), "{text}");
        assert!(text.contains("SKIP no go\n    this host unit a::b\n"), "{text}");
    }

    #[test]
    fn what_worked_is_in_the_table_when_another_part_could_not_be_run() {
        let outcome = |kernel: &str, end, console: &[&str]| Outcome {
            kernel: kernel.to_owned(),
            end,
            console: console.iter().map(|line| (*line).to_owned()).collect(),
            log: "log".into(),
            boots_repeated: 0,
            seconds: 1.0,
        };
        let mut table = Table::default();
        table.add_machine(outcome("5.10", End::Finished(0), &["cell kprobe fifty PASS"]));
        table.add_machine(outcome("6.1", End::Lost("cannot start QEMU".to_owned()), &[]));
        table.add_problem("virtual machines", &anyhow::anyhow!("no kernel 6.12"));
        assert_eq!(table.exit_code(), ExitCode::FAILURE);
        let text = table.to_string();
        assert!(text.contains("5.10    PASS 1"), "{text}");
        assert!(text.contains("FAIL 6.1: cannot start QEMU\nFAIL virtual machines: no kernel 6.12\n"), "{text}");
    }

    #[test]
    fn a_run_of_nothing_is_no_success() {
        let mut table = Table::default();
        assert_eq!(table.exit_code(), ExitCode::FAILURE);
        table.add_note("no scenario's name contains x".to_owned());
        table.add_unit_tests(Totals { passed: 1, ..Totals::default() }, Vec::new(), ExitStatus::from_raw(0));
        assert_eq!(table.exit_code(), ExitCode::SUCCESS);
        assert!(table.to_string().contains("note no scenario's name contains x\n"), "{table}");
    }

    #[test]
    fn a_failed_check_fails_the_run_and_a_repeated_boot_is_counted() {
        let mut table = Table::default();
        let fails = CellResult::Fail("run cargo fmt".to_owned());
        table.add_checks(vec![Cell { hook: "check".to_owned(), scenario: "fmt".to_owned(), result: fails }]);
        table.add_machine(Outcome {
            kernel: "5.10".to_owned(),
            end: End::Finished(0),
            console: vec!["cell kprobe fifty PASS".to_owned()],
            log: "log".into(),
            boots_repeated: 1,
            seconds: 1.0,
        });
        assert_eq!(table.exit_code(), ExitCode::FAILURE);
        let text = table.to_string();
        assert!(text.contains("FAIL fmt: run cargo fmt\n    this host check\n"), "{text}");
        assert!(text.contains("that were repeated: 1\n") && text.ends_with("1 passed, 1 failed, 0 skipped"), "{text}");
    }

    #[test]
    fn an_unexpected_skip_of_a_unit_test_fails_the_run() {
        let mut table = Table::default();
        let skips = vec![skip(CellResult::UnexpectedSkip("no go".to_owned()))];
        table.add_unit_tests(Totals::default(), skips, ExitStatus::from_raw(0));
        assert_eq!(table.exit_code(), ExitCode::FAILURE);
        assert!(table.to_string().contains("SKIP, unexpected: no go"));
    }
}
