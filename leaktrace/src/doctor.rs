//! Examines a host: tries everything that leaktrace needs or can use.

mod check;
mod checks;

use check::{Check, Standing};

use serde::Serialize;
use std::fmt;

/// The result of an examination.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Checkup {
    /// Whether leaktrace can work here.
    pub verdict: Verdict,
    /// One entry for each check. Later checks depend on earlier ones.
    pub findings: Vec<Check>,
}

/// Whether leaktrace can work here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// With every feature.
    Able,
    /// With fewer features.
    Degraded,
    /// Not at all.
    Unable,
}

impl Checkup {
    /// Examines the running host. Loads and unloads the kernel side; leaves nothing behind.
    pub(crate) fn of_this_host() -> Self {
        Self::of(checks::all())
    }

    fn of(findings: Vec<Check>) -> Self {
        let has = |standing| findings.iter().any(|finding: &Check| finding.standing == standing);
        let verdict = match (has(Standing::Fatal), has(Standing::No)) {
            (true, _) => Verdict::Unable,
            (false, true) => Verdict::Degraded,
            (false, false) => Verdict::Able,
        };
        Self { verdict, findings }
    }
}

impl fmt::Display for Checkup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
        for finding in &self.findings {
            let mark = match finding.standing {
                Standing::Yes => "yes",
                Standing::No => "no",
                Standing::Fatal => "NO",
            };
            writeln!(f, "{:width$}  {mark:3}  {}", finding.name, finding.detail)?;
            if let Some(hint) = &finding.hint {
                writeln!(f, "{:width$}       → {hint}", "")?;
            }
        }
        let words = match self.verdict {
            Verdict::Able => "leaktrace works here.",
            Verdict::Degraded => "leaktrace works here, with less than it could: see each \"no\" above.",
            Verdict::Unable => "leaktrace cannot work here: see each \"NO\" above.",
        };
        writeln!(f, "\n{words}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fatal_finding_makes_the_host_unable() {
        let no = Check::no("a", Standing::No, "b", "c");
        let fatal = Check::no("a", Standing::Fatal, "b", "c");
        assert_eq!(Checkup::of(vec![Check::yes("a", "b")]).verdict, Verdict::Able);
        assert_eq!(Checkup::of(vec![Check::yes("a", "b"), no.clone()]).verdict, Verdict::Degraded);
        assert_eq!(Checkup::of(vec![no, fatal]).verdict, Verdict::Unable);
    }

    #[test]
    fn every_no_prints_its_hint() {
        let text = Checkup::of(vec![Check::no("kprobe hooks", Standing::No, "refused", "use others")]).to_string();
        assert!(text.contains("refused") && text.contains("→ use others"), "{text}");
    }
}
