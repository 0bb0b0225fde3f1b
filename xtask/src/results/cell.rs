//! One result: a line of the suite such as `cell HOOK SCENARIO PASS|FAIL|SKIP [REASON]`, a unit test that was skipped, or a check.

/// One scenario on one kind of hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// `fentry`, `kprobe`, `tracepoint`, or `unit` and `check` for results that belong to no hook.
    pub hook: String,
    /// The scenario's name.
    pub scenario: String,
    /// What came of it.
    pub result: CellResult,
}

/// What came of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CellResult {
    /// As it should be.
    Pass,
    /// Not as it should be, and how.
    Fail(String),
    /// Could not run here, as expected; with the reason.
    Skip(String),
    /// Could not run here, which was not expected.
    UnexpectedSkip(String),
}

/// How the suite begins the reason of a skip that was not expected.
const UNEXPECTED: &str = "unexpected:";

impl Cell {
    /// Reads a line of the suite; `None` for any line that is no result.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("cell ")?.splitn(4, ' ');
        let (hook, scenario, word) = (words.next()?, words.next()?, words.next()?);
        let reason = words.next().unwrap_or_default().trim();
        let result = match word {
            "PASS" => CellResult::Pass,
            "FAIL" => CellResult::Fail(reason.to_owned()),
            "SKIP" => match reason.strip_prefix(UNEXPECTED) {
                Some(reason) => CellResult::UnexpectedSkip(reason.trim().to_owned()),
                None => CellResult::Skip(reason.to_owned()),
            },
            _ => return None,
        };
        Some(Self { hook: hook.to_owned(), scenario: scenario.to_owned(), result })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_says_whether_it_was_expected() {
        let cell = |line| Cell::parse(line).map(|cell| cell.result);
        assert_eq!(cell("cell fentry ipv6 PASS"), Some(CellResult::Pass));
        assert_eq!(cell("cell fentry ipv6 SKIP no ipv6"), Some(CellResult::Skip("no ipv6".into())));
        assert_eq!(cell("cell kprobe a SKIP unexpected: why"), Some(CellResult::UnexpectedSkip("why".into())));
        assert_eq!(cell("cell kprobe a FAIL 3 sockets"), Some(CellResult::Fail("3 sockets".into())));
        assert_eq!(cell("cell kprobe a"), None);
        assert_eq!(cell("1 passed"), None);
    }
}
