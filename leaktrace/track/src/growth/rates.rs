//! How often `growing` is wrong, on synthetic series with known truth.

use super::synthetic::{Curve, Part};
use super::{Growth, Reading};

/// Series of each kind.
const SERIES: u64 = 1000;

/// Readings of each: ten minutes.
const READINGS: usize = 600;

/// A kind of series.
struct Kind {
    name: &'static str,
    parts: &'static [Part],
    /// Series of a thousand that may be judged wrongly: a little more than were measured.
    most_wrong: usize,
}

const fn kind(name: &'static str, parts: &'static [Part], most_wrong: usize) -> Kind {
    Kind { name, parts, most_wrong }
}

const fn churn(open: f64, life_s: f64) -> Part {
    Part::Churn { open, life_s }
}

const fn leak(every_s: f64) -> Part {
    Part::Leak { every_s, from_s: 0.0 }
}

const HEALTHY: &[Kind] = &[
    kind("50 that stay", &[Part::Steady(50)], 0),
    kind("churn, 50 open for 10 s", &[churn(50.0, 10.0)], 0),
    kind("churn, 50 open for an instant", &[Part::Flicker { open: 50.0 }], 0),
    kind("pool, 50 open for 1 min", &[churn(50.0, 60.0)], 10),
    kind("pool, 50 open for 5 min", &[churn(50.0, 300.0)], 30),
    kind("pool, 60 open for 1 h", &[churn(60.0, 3600.0)], 30),
    kind("pool, 5 open for 10 min", &[churn(5.0, 600.0)], 20),
    kind("bursts of 20 to 200", &[Part::Bursts], 0),
    kind("sawtooth of 20 to 150 s", &[Part::Sawtooth], 0),
    kind("random walk, 0 to 100", &[Part::Walk], 40),
    kind("day and night, 500 for 5 min", &[Part::Diurnal { open: 500.0, life_s: 300.0 }], 30),
    kind("start of 1 min, then level", &[Part::Ramp { seconds: 60.0 }], 0),
    kind("start of 4 min, then level", &[Part::Ramp { seconds: 240.0 }], 0),
    kind("the same, with churn", &[Part::Ramp { seconds: 240.0 }, churn(50.0, 10.0)], 0),
];

/// Kinds with more sockets, which take too long for a test. Only the table has them.
const HEALTHY_AND_LARGE: &[Kind] = &[
    kind("churn, 500 open for 10 s", &[churn(500.0, 10.0)], 0),
    kind("day and night, 500 for 10 s", &[Part::Diurnal { open: 500.0, life_s: 10.0 }], 0),
];

const LEAKING: &[Kind] = &[
    kind("1/min, nothing else", &[leak(60.0)], 0),
    kind("1/min, 50 that stay", &[leak(60.0), Part::Steady(50)], 0),
    kind("1/min, 50 open for an instant", &[leak(60.0), Part::Flicker { open: 50.0 }], 0),
    kind("1/min, 50 open for 10 s", &[leak(60.0), churn(50.0, 10.0)], 10),
    kind("1/min, bursts", &[leak(60.0), Part::Bursts], 500),
    kind("1/s, bursts", &[leak(1.0), Part::Bursts], 0),
    kind("1/min, sawtooth", &[leak(60.0), Part::Sawtooth], 200),
    kind("1/10 s, pool for 5 min", &[leak(10.0), churn(50.0, 300.0)], 40),
];

const LEAKING_AND_LARGE: &[Kind] = &[
    kind("1/min, 500 open for 10 s", &[leak(60.0), churn(500.0, 10.0)], 60),
    kind("1/s, 500 open for 10 s", &[leak(1.0), churn(500.0, 10.0)], 0),
];

fn found(readings: &[Reading]) -> bool {
    let mut growth = Growth::default();
    readings.iter().for_each(|reading| growth.push(*reading));
    growth.trend().is_some_and(|trend| trend.growing)
}

/// How many of a thousand series are judged to grow after ten minutes.
fn growing(nth: usize, kind: &Kind) -> usize {
    (0..SERIES).filter(|seed| found(&Curve::readings(kind.parts, READINGS, seed << 32 | nth as u64))).count()
}

#[test]
fn healthy_programs_are_seldom_accused() {
    for (nth, kind) in HEALTHY.iter().enumerate() {
        let wrong = growing(nth, kind);
        assert!(wrong <= kind.most_wrong, "{}: {wrong} of {SERIES}", kind.name);
    }
}

#[test]
fn leaks_are_found_within_ten_minutes() {
    for (nth, kind) in LEAKING.iter().enumerate() {
        let missed = SERIES as usize - growing(nth, kind);
        assert!(missed <= kind.most_wrong, "{}: {missed} of {SERIES} missed", kind.name);
    }
}

/// When a series is first judged to grow after `from`, with a judgement every ten seconds.
fn first_found(readings: &[Reading], from: usize) -> Option<usize> {
    let mut growth = Growth::default();
    for (second, reading) in readings.iter().enumerate() {
        growth.push(*reading);
        if second >= from && second % 10 == 9 && growth.trend().is_some_and(|trend| trend.growing) {
            return Some(second + 1);
        }
    }
    None
}

#[test]
#[ignore = "prints the table of docs/benchmarks.md; takes minutes"]
fn print_rates() {
    println!("{:31}{:>12}{:>22}", "healthy", "accused", "ever in the hour");
    for (nth, kind) in HEALTHY.iter().chain(HEALTHY_AND_LARGE).enumerate() {
        let hours = (0..SERIES).filter(|seed| {
            first_found(&Curve::readings(kind.parts, 3600, seed << 32 | nth as u64), READINGS).is_some()
        });
        println!("{:31}{:>10.1} %{:>20.1} %", kind.name, percent(growing(nth, kind)), percent(hours.count()));
    }
    println!("{:31}{:>12}{:>22}", "leaking", "missed", "median until found");
    let after_an_hour = Part::Leak { every_s: 60.0, from_s: 3600.0 };
    for (nth, kind) in LEAKING.iter().chain(LEAKING_AND_LARGE).enumerate() {
        let missed = SERIES as usize - growing(nth, kind);
        print_leak(kind.name, missed, times(nth, kind.parts, 0), 0);
    }
    let late = times(99, &[after_an_hour, churn(50.0, 10.0)], 3600);
    let missed = late.iter().filter(|time| time.is_none()).count();
    print_leak("1/min after 1 h, 50 for 10 s", missed, late, 3600);
}

fn times(nth: usize, parts: &[Part], from: usize) -> Vec<Option<usize>> {
    (0..SERIES)
        .map(|seed| first_found(&Curve::readings(parts, from + READINGS, seed << 32 | nth as u64), from))
        .collect()
}

fn print_leak(name: &str, missed: usize, mut times: Vec<Option<usize>>, from: usize) {
    // A leak that was never found sorts behind any time.
    times.sort_unstable_by_key(|time| time.unwrap_or(usize::MAX));
    let median = times[times.len() / 2].map_or("never".to_owned(), |time| format!("{} s", time.saturating_sub(from)));
    println!("{name:31}{:>10.1} %{median:>22}", percent(missed));
}

fn percent(count: usize) -> f64 {
    count as f64 * 100.0 / SERIES as f64
}
