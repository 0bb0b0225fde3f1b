//! All results of a run: kernels down, kinds of hook across, reasons below, one line of totals at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::{ExitCode, ExitStatus};

use anyhow::Error;

use super::cells::{Cell, CellResult};
use super::unit::Totals;
use crate::vm::{End, Outcome};

/// Lines of a console that are worth printing when a machine did not do its job.
const LAST_LINES: usize = 25;

/// Where the tests run that run in no virtual machine.
pub const HERE: &str = "this host";

/// What was found so far.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
    unit: Totals,
    /// What unit tests said that they skipped, wholly or in part; the harness counts these as passed.
    unit_skips: Vec<Cell>,
    problems: Vec<String>,
    notes: Vec<String>,
}

struct Row {
    place: String,
    cells: Vec<Cell>,
}

#[derive(Default, Clone, Copy)]
struct Count {
    passed: usize,
    /// How many of them at the second try.
    again: usize,
    failed: usize,
    skipped: usize,
    unexpected: usize,
}

impl Table {
    /// The totals of `cargo test`, and what its tests said that they skipped.
    pub fn add_unit_tests(&mut self, mut totals: Totals, skips: Vec<Cell>, status: ExitStatus) {
        // What was skipped in part has not passed either.
        let tests: BTreeSet<&str> = skips.iter().map(|skip| skip.scenario.as_str()).collect();
        totals.passed = totals.passed.saturating_sub(tests.len());
        self.unit = totals;
        self.unit_skips = skips;
        if !status.success() && totals.failed == 0 {
            self.problems
                .push(format!("cargo test: {status}, though no test failed: a test program does not build or died"));
        }
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
        if outcome.retries > 0 {
            self.notes.push(format!("{place}: the machine died once and was started again"));
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

    /// A part of the run that came to nothing.
    pub fn add_problem(&mut self, place: &str, error: &Error) {
        self.problems.push(format!("{place}: {error:#}"));
    }

    /// What is worth knowing and no failure.
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

    /// Failure if anything failed, or was skipped without being expected to, or if there was nothing at all.
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
        let unit = unit.plus(Count::of(&self.unit_skips));
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
        writeln!(
            f,
            "unit tests: {} passed, {} failed, {} ignored, {} skips",
            self.unit.passed,
            self.unit.failed,
            self.unit.ignored,
            self.unit_skips.len()
        )?;
        let total = self.total();
        if total.unexpected > 0 {
            writeln!(f, "{} of the skipped were not expected to be, which counts as failure", total.unexpected)?;
        }
        write!(f, "{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped + total.unexpected)
    }
}

impl Table {
    /// Everything that did not pass at once, equal reasons together, with the places where it happened.
    fn reasons(&self) -> BTreeMap<String, Vec<String>> {
        let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let of_suites = self.rows.iter().flat_map(|row| row.cells.iter().map(|cell| (row.place.as_str(), cell)));
        for (place, cell) in of_suites.chain(self.unit_skips.iter().map(|cell| (HERE, cell))) {
            let place = format!("{place} {}", cell.hook);
            let exactly = format!("{place} {}", cell.scenario);
            let (text, place) = match &cell.result {
                CellResult::Pass => continue,
                CellResult::PassAgain(why) => (format!("passed at the second try, at the first: {why}"), exactly),
                CellResult::Fail(why) => (format!("FAIL {}: {why}", cell.scenario), place),
                CellResult::Skip(why) => (format!("SKIP {why}"), exactly),
                CellResult::UnexpectedSkip(why) => (format!("SKIP, unexpected: {why}"), exactly),
            };
            reasons.entry(text).or_default().push(place);
        }
        reasons
    }
}

impl Count {
    fn of<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Self {
        let mut count = Self::default();
        for cell in cells {
            match cell.result {
                CellResult::Pass => count.passed += 1,
                CellResult::PassAgain(_) => {
                    count.passed += 1;
                    count.again += 1;
                }
                CellResult::Fail(_) => count.failed += 1,
                CellResult::Skip(_) => count.skipped += 1,
                CellResult::UnexpectedSkip(_) => count.unexpected += 1,
            }
        }
        count
    }

    fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            again: self.again + other.again,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
            unexpected: self.unexpected + other.unexpected,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self { failed: 0, unexpected: 0, passed: 0, skipped: 0, .. } => return f.write_str("FAIL (nothing ran)"),
            Self { failed: 0, unexpected: 0, passed: 0, .. } => "SKIP",
            Self { failed: 0, unexpected: 0, .. } => "PASS",
            _ => "FAIL",
        };
        write!(f, "{word} {}", self.passed)?;
        let others = [
            ("at 2nd try", self.again),
            ("failed", self.failed),
            ("skipped", self.skipped),
            ("unexpected", self.unexpected),
        ];
        others.iter().filter(|(_, number)| *number > 0).try_for_each(|(what, number)| write!(f, ", {number} {what}"))
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
            retries: 0,
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
    fn an_unexpected_skip_of_a_unit_test_fails_the_run() {
        let mut table = Table::default();
        let skips = vec![skip(CellResult::UnexpectedSkip("no go".to_owned()))];
        table.add_unit_tests(Totals::default(), skips, ExitStatus::from_raw(0));
        assert_eq!(table.exit_code(), ExitCode::FAILURE);
        assert!(table.to_string().contains("SKIP, unexpected: no go"));
    }
}
