//! Claims about call sites that are merged by their names. The samples are made up.

use super::*;
use leaktrace_model::{CallsiteStack, SiteCounters, SiteKey, StackQuality, Sums, Verdict};
use std::time::Duration;

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

/// A socket that process 7 opened in this second, at a place of its own, and never closes.
fn leaked(second: u64, opened: u64) -> (u32, SiteCounters) {
    let key = SiteKey { stack_hash: opened, pid: 7, direction: Direction::Connect };
    let mut sums = Sums { open: 1, ..Sums::default() };
    sums.verdicts.set(Verdict::LongLived, u64::from(second - opened >= 60));
    (opened as u32, SiteCounters { key, opened: 1, pass: second as u32, sums, ..SiteCounters::default() })
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
            at: Moment { boot_ns: second * SECOND, unix_ns: 0 },
            pass: Pass {
                number: second as u16,
                limits: Limits { threshold: Duration::from_secs(60), ..Limits::default() },
                ..Pass::default()
            },
            callsites: opened.iter().map(|opened| leaked(second, *opened)).collect(),
            stacks: opened.last().filter(|last| **last == second).map(|last| stack(*last)).into_iter().collect(),
            ..Sample::default()
        });
        tracker.unite_by_name(|_| Some(1));
    }
    let sites = tracker.snapshot().callsites;
    assert_eq!(sites.iter().map(|site| (site.sums.open, site.is_growing())).collect::<Vec<_>>(), [(11, true)]);
}
