//! What is run, and when: the catalogue's programs under the tracer's eyes, and some of them before it comes.

use super::check::Started;
use super::languages::{self, LANGUAGES};
use crate::zoo::{CATALOGUE, Kind};

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name in the table.
    pub name: String,
    /// The program in the zoo, or a real one.
    pub program: &'static str,
    /// Before or after the tracer.
    pub started: Started,
    /// What the program waits for once the tracer watches.
    pub cue: Option<&'static str>,
    /// What it shows.
    pub kind: Kind,
}

/// Programs that are also run before the tracer comes: every verdict, and everything about age and holders.
const ADOPTED: &[&str] = &[
    "fifty",
    "ipv6",
    "mapped",
    "netns",
    "close-wait",
    "dead-held",
    "dead-held-timed-out",
    "never-read",
    "read-stalled",
    "write-stalled",
    "silent-peer",
    "connecting",
    "not-accepted",
    "idle-unguarded",
    "long-lived",
    "story-ssh",
    "story-websocket",
    "fork-orphaned",
    "scm-rights",
    "fast-open",
    "half-closed-by-us",
    "shut-both-ways",
    "control-pool",
    "control-ping-pong",
    "control-epoll-echo",
    "control-slow-reader",
    "control-idle-guarded",
    "control-never-connected",
];

/// A real program that the host may have.
const REAL: &[&str] = &["go-client", "python-client"];

/// Whether a program is none of the zoo's: built or interpreted where the host has the tools.
pub fn is_real(program: &str) -> bool {
    REAL.contains(&program) || languages::find(program).is_some()
}

/// Every scenario with a program of its own, foundation first.
pub fn all() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for program in CATALOGUE.iter().filter(|program| program.kind != Kind::Part) {
        let started = match program.name {
            "accepts-begun-before" => Started::BeforeTracer,
            _ => Started::AfterTracer,
        };
        let cue = match (program.kind, program.name) {
            (Kind::Mended, _) => Some("mend"),
            (_, "accepts-begun-before") => Some("go"),
            _ => None,
        };
        let name = program.name.to_owned();
        scenarios.push(Scenario { name, program: program.name, started, cue, kind: program.kind });
        if ADOPTED.contains(&program.name) {
            let name = format!("{}@before", program.name);
            let started = Started::BeforeTracer;
            scenarios.push(Scenario { name, program: program.name, started, cue: None, kind: program.kind });
        }
    }
    for program in REAL.iter().copied().chain(LANGUAGES.iter().map(|language| language.name)) {
        let (name, started) = (program.to_owned(), Started::AfterTracer);
        scenarios.push(Scenario { name, program, started, cue: None, kind: Kind::Leak });
    }
    scenarios
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_adopted_program_is_in_the_catalogue() {
        for name in ADOPTED {
            assert!(crate::zoo::find(name).is_some(), "{name}");
        }
    }
}
