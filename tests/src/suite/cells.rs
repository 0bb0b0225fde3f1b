//! Results: one line when known, a table at the end, and whether any of them is bad.

use std::collections::BTreeMap;

/// How one scenario went on one kind of hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Result {
    /// As the truth says.
    Pass,
    /// The report contradicts the truth.
    Fail(Vec<String>),
    /// Cannot run here, and that is known.
    Skip(String),
    /// Cannot run here, which was not expected.
    UnexpectedSkip(String),
}

/// All results so far.
#[derive(Clone, Debug, Default)]
pub struct Cells {
    rows: BTreeMap<String, BTreeMap<String, Result>>,
    order: Vec<String>,
    hooks: Vec<String>,
}

impl Cells {
    /// Prints what the suite does now, on one kind of hook.
    pub fn step(hook: &str, text: &str) {
        println!("step {hook} {text}");
    }

    /// Adds a result and prints its line.
    pub fn add(&mut self, hook: &str, scenario: &str, result: Result) {
        match &result {
            Result::Pass => println!("cell {hook} {scenario} PASS"),
            Result::Fail(complaints) => {
                println!("cell {hook} {scenario} FAIL {}", complaints.first().map_or("", String::as_str));
                for complaint in complaints.iter().skip(1) {
                    println!("     {hook} {scenario}      {complaint}");
                }
            }
            Result::Skip(reason) => println!("cell {hook} {scenario} SKIP {}", one_line(reason)),
            Result::UnexpectedSkip(reason) => {
                println!("cell {hook} {scenario} SKIP unexpected: {}", one_line(reason));
            }
        }
        if !self.rows.contains_key(scenario) {
            self.order.push(scenario.to_owned());
        }
        if !self.hooks.iter().any(|known| known == hook) {
            self.hooks.push(hook.to_owned());
        }
        self.rows.entry(scenario.to_owned()).or_default().insert(hook.to_owned(), result);
    }

    /// Whether something passed, nothing failed, and nothing was skipped without being expected to.
    pub fn good(&self) -> bool {
        let all = || self.rows.values().flat_map(BTreeMap::values);
        all().any(|result| *result == Result::Pass)
            && all().all(|result| matches!(result, Result::Pass | Result::Skip(_)))
    }

    /// Scenarios down, hooks across, and the sums.
    pub fn table(&self) -> String {
        let width = self.order.iter().map(String::len).max().unwrap_or_default();
        let mut text = format!("{:width$}", "scenario");
        for hook in &self.hooks {
            text += &format!("  {hook:>10}");
        }
        for scenario in &self.order {
            text += &format!("\n{scenario:width$}");
            for hook in &self.hooks {
                let result = self.rows.get(scenario).and_then(|row| row.get(hook));
                text += &format!("  {:>10}", result.map_or("", word));
            }
        }
        let count = |wanted: &str| {
            self.rows.values().flat_map(BTreeMap::values).filter(|result| word(result) == wanted).count()
        };
        text += &format!(
            "\n{} passed, {} failed, {} skipped as expected, {} skipped unexpectedly",
            count("pass"),
            count("FAIL"),
            count("skip"),
            count("SKIP?"),
        );
        text
    }
}

fn word(result: &Result) -> &'static str {
    match result {
        Result::Pass => "pass",
        Result::Fail(_) => "FAIL",
        Result::Skip(_) => "skip",
        Result::UnexpectedSkip(_) => "SKIP?",
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unexpected_skip_is_as_bad_as_a_failure() {
        let mut cells = Cells::default();
        cells.add("kprobe", "fifty", Result::Pass);
        cells.add("fentry", "fifty", Result::Skip("refused".into()));
        assert!(cells.good());
        cells.add("tracepoint", "fifty", Result::UnexpectedSkip("why?".into()));
        assert!(!cells.good());
    }

    #[test]
    fn a_run_in_which_everything_was_skipped_shows_nothing() {
        let mut cells = Cells::default();
        cells.add("fentry", "fifty", Result::Skip("refused".into()));
        assert!(!cells.good());
    }

    #[test]
    fn the_table_has_a_column_for_every_hook_and_the_sums() {
        let mut cells = Cells::default();
        cells.add("kprobe", "fifty", Result::Pass);
        cells.add("fentry", "ipv6", Result::Fail(vec!["one".into(), "two".into()]));
        let table = cells.table();
        assert!(table.starts_with("scenario      kprobe      fentry\n"), "{table}");
        assert!(table.ends_with("1 passed, 1 failed, 0 skipped as expected, 0 skipped unexpectedly"), "{table}");
    }
}
