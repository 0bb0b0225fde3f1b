//! What is run, and when: the catalogue's programs while the tracer watches, and some of them before it starts.

use super::check::terms::Started;
use super::languages::{self, LANGUAGES};
use crate::scenarios::{CATALOGUE, Kind, Program};

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name in the table.
    pub name: String,
    /// The scenario program, or a real one.
    pub program: &'static str,
    /// Before or after the tracer.
    pub started: Started,
    /// What the program waits for once the tracer watches.
    pub cue: Option<&'static str>,
    /// What it shows.
    pub kind: Kind,
}

/// Programs that are also started before the tracer: every verdict, and everything about age and holders.
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

/// Real programs that the host may have.
const REAL: &[&str] = &["go-client", "python-client"];

/// Whether a program is a real one: built or interpreted where the host has the tools.
pub fn is_real(program: &str) -> bool {
    REAL.contains(&program) || languages::find(program).is_some()
}

/// A few scenarios of each kind, which together touch every part of the kernel side: the short column.
const SHORT: &[&str] = &[
    "fifty",
    "two-callsites",
    "ipv6",
    "netns",
    "accepts-begun-before",
    "closed-by-exit",
    "close-wait",
    "close-wait@before",
    "dead-held",
    "never-read",
    "never-read@before",
    "read-stalled",
    "write-stalled",
    "silent-peer",
    "connecting",
    "not-accepted",
    "idle-unguarded",
    "growth",
    "story-slow-leak",
    "fork-shared",
    "scm-rights",
    "opener-gone",
    "mptcp",
    "uring-connect",
    "control-pool",
    "control-churn",
    "control-slow-reader",
    "mended-never-read",
    "mended-not-accepted",
    "c-no-frame-pointers",
    "c-two-callers",
    "go-plain",
];

/// What a program waits for, once the tracer watches.
pub fn cue_of(program: &Program) -> Option<&'static str> {
    match (program.kind, program.name) {
        (Kind::Mended, _) => Some("mend"),
        (_, "accepts-begun-before") => Some("go"),
        (_, "opener-gone") => Some("sampled"),
        _ => None,
    }
}

/// The scenarios of the short column.
pub fn short() -> Vec<Scenario> {
    all().into_iter().filter(|scenario| SHORT.contains(&scenario.name.as_str())).collect()
}

/// The scenarios whose name is one of these; for one that is no scenario's name, those that contain it.
pub fn named(names: &[String]) -> Vec<Scenario> {
    let all = all();
    let exact = |name: &String| all.iter().any(|scenario| scenario.name == *name);
    let wanted = |scenario: &&Scenario| {
        names.iter().any(|name| scenario.name == *name || !exact(name) && scenario.name.contains(name))
    };
    all.iter().filter(wanted).cloned().collect()
}

/// Every scenario with a program of its own, foundation first.
pub fn all() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for program in CATALOGUE.iter().filter(|program| program.kind != Kind::Part) {
        let started = match program.name {
            "accepts-begun-before" => Started::BeforeTracer,
            _ => Started::AfterTracer,
        };
        let cue = cue_of(program);
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
    fn every_name_of_the_short_column_is_a_scenario() {
        assert_eq!(short().len(), SHORT.len());
    }

    #[test]
    fn a_name_is_that_of_one_scenario_or_part_of_several() {
        let names = |name: &str| named(&[name.to_owned()]).into_iter().map(|one| one.name).collect::<Vec<_>>();
        assert_eq!(names("close-wait"), ["close-wait"]);
        assert_eq!(names("close-wa").len(), 4);
        assert_eq!(names("no such"), [""; 0]);
    }

    #[test]
    fn every_adopted_program_is_in_the_catalogue() {
        for name in ADOPTED {
            assert!(crate::scenarios::find(name).is_some(), "{name}");
        }
    }
}
