//! Claims about call sites that become one by their names, from made-up samples.

use super::*;
use leaktrace_common::{CallsiteCounters, CallsiteKey, PassSums, Tally, Verdict};
use leaktrace_model::{sample::CallsiteStack, snapshot::StackQuality};
use zerocopy::FromZeros;

const SECOND: u64 = 1_000_000_000;

#[test]
fn names_of_forgotten_call_sites_are_forgotten_too() {
    let mut tracker = Tracker::new(TrackerOptions::default());
    for id in 0..=MOST_NAMED as u64 {
        tracker.by_name.insert((Direction::Connect, format!("worker-{id}"), None, 1), id);
    }
    tracker.unite_by_name(|_| None);
    assert!(tracker.by_name.is_empty());
}

/// A socket that process 7 opened in this second at a place of its own, and never closes.
fn leaked(second: u64, opened: u64) -> (u32, CallsiteCounters) {
    let key = CallsiteKey { stack_hash: opened, tgid: 7, direction: Direction::Connect.raw().into() };
    let mut sums = PassSums { pass: second as u32, open: 1, ..PassSums::default() };
    sums.verdicts[Verdict::LongLived as usize] = u32::from(second - opened >= 60);
    let tally = Tally { opened: 1, ..Tally::new_zeroed() };
    (opened as u32, CallsiteCounters { key, tally, sums, ..CallsiteCounters::new_zeroed() })
}

fn stack(opened: u64) -> CallsiteStack {
    let locations = vec![Location { offset: opened, ..Location::unmapped(0x1000) }];
    CallsiteStack { callsite: opened as u32, locations, quality: StackQuality::Complete, reason: None }
}

#[test]
fn a_leak_is_found_though_each_of_its_sockets_is_a_new_variant_of_the_stack() {
    let mut tracker = Tracker::new(TrackerOptions::default());
    for second in 60..=660 {
        let opened: Vec<u64> = (60..=second).step_by(60).collect();
        tracker.ingest(Sample {
            boot_ns: second * SECOND,
            limits: PassSettings { pass: second as u16, threshold_ns: 60 * SECOND, ..PassSettings::default() },
            callsites: opened.iter().map(|opened| leaked(second, *opened)).collect(),
            stacks: opened.last().filter(|last| **last == second).map(|last| stack(*last)).into_iter().collect(),
            ..Sample::default()
        });
        tracker.unite_by_name(|_| Some(1));
    }
    let sites = tracker.snapshot().callsites;
    assert_eq!(sites.iter().map(|site| (site.open, site.growing)).collect::<Vec<_>>(), [(11, Some(true))]);
}
