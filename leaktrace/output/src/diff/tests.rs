//! Claims about comparisons: what is matched, what is reported, what is refused.

mod compiled;
mod hostile;
mod rebuilt;

use super::{read::parse, *};
use crate::{ReportFormat, layout::width};
use leaktrace_model::{Callsite, Direction, Snapshot, Verdict, fixtures};

/// Through the JSON report, as a user's files go.
pub(super) fn read(snapshot: &Snapshot) -> Report {
    let mut bytes = Vec::new();
    ReportFormat::Json.format().write(snapshot, &mut bytes).unwrap();
    parse(&bytes[..], "report.json").unwrap()
}

pub(super) fn compare(old: &Snapshot, new: &Snapshot) -> Diff {
    Diff::of(read(old), read(new), &DiffOptions::default())
}

/// A canary: other host, other ids, other addresses; one site leaks more, one is gone, one new, one calmer.
fn canary() -> Snapshot {
    let mut snapshot = fixtures::rich();
    snapshot.host.hostname = Some("canary-1".into());
    snapshot.window.start.unix_ns += 43_200_000_000_000;
    snapshot.window.end.unix_ns += 43_200_000_000_000;
    for site in &mut snapshot.callsites {
        site.id += 1_000;
        for frame in &mut site.stack {
            frame.address += 0x1234;
            frame.line = frame.line.map(|line| line + 3);
        }
    }
    let leaking = &mut snapshot.callsites[0].sums;
    (leaking.open, leaking.flagged) = (400, 390);
    leaking.verdicts.set(Verdict::NeverRead, 372);
    snapshot.callsites[1].sums.open = 300;
    let mut new = Callsite { id: 9, comm: "api".into(), direction: Direction::Connect, ..Callsite::default() };
    new.sums.open = 3;
    new.stack = vec![fixtures::library_frame("connect"), fixtures::frame("api::metrics::push", "metrics.rs", 4)];
    snapshot.callsites[2] = new;
    snapshot.totals.sums.open = 723;
    snapshot
}

fn text(diff: &Diff) -> String {
    let mut out = Vec::new();
    diff.write_text(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_canary_reads_well_beside_its_baseline() {
    insta::assert_snapshot!(text(&compare(&fixtures::rich(), &canary())));
}

#[test]
fn a_report_compared_with_itself_has_not_changed() {
    let diff = compare(&fixtures::rich(), &fixtures::rich());
    assert_eq!(diff.count(ChangeKind::Same), diff.changes.len());
    assert!(!diff.fails_on(&[ChangeKind::Grown, ChangeKind::New, ChangeKind::Gone, ChangeKind::Shrunk]));
    assert!(text(&diff).ends_with("Call sites: 4 much the same.\n"));
}

#[test]
fn two_empty_reports_compare() {
    let diff = compare(&fixtures::empty(), &fixtures::empty());
    assert!(text(&diff).contains("No call sites in either report."));
}

#[test]
fn what_was_asked_for_fails_and_nothing_else() {
    let diff = compare(&fixtures::rich(), &canary());
    let kinds: Vec<(ChangeKind, usize)> = ChangeKind::ALL.iter().map(|&kind| (kind, diff.count(kind))).collect();
    assert_eq!(
        kinds,
        [
            (ChangeKind::Grown, 1),
            (ChangeKind::New, 1),
            (ChangeKind::Shrunk, 1),
            (ChangeKind::Gone, 1),
            (ChangeKind::Same, 1)
        ]
    );
    assert!(diff.fails_on(&[ChangeKind::Grown]) && diff.fails_on(&[ChangeKind::Gone, ChangeKind::New]));
    let back = compare(&fixtures::rich(), &fixtures::rich());
    assert!(!back.fails_on(&[ChangeKind::Grown]));
    assert_eq!(ChangeKind::from_name("grown"), Some(ChangeKind::Grown));
    assert_eq!(ChangeKind::from_name("larger"), None);
}

#[test]
fn one_leaked_socket_more_is_growth_and_one_open_socket_more_is_not() {
    let change = |edit: &dyn Fn(&mut Callsite)| {
        let mut new = fixtures::rich();
        edit(&mut new.callsites[2]);
        compare(&fixtures::rich(), &new)
            .changes
            .iter()
            .find(|change| change.comm == "worker" && !change.stack.is_empty())
            .unwrap()
            .kind
    };
    assert_eq!(change(&|site| site.sums.open += 1), ChangeKind::Same);
    assert_eq!(change(&|site| site.sums.open += 5), ChangeKind::Grown);
    assert_eq!(change(&|site| site.sums.open -= 10), ChangeKind::Shrunk);
    let leak = |site: &mut Callsite| {
        site.sums.open -= 10;
        site.sums.flagged = 1;
        site.sums.verdicts.set(Verdict::CloseWait, 1);
    };
    assert_eq!(change(&leak), ChangeKind::Grown);
}

#[test]
fn the_json_form_has_the_numbers_of_both_sides() {
    let mut out = Vec::new();
    compare(&fixtures::rich(), &canary()).write_json(&mut out).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["counts"]["grown"], 1);
    let worst = &json["changes"][0];
    assert_eq!((&worst["kind"], &worst["similarity"]), (&"grown".into(), &1.0.into()));
    assert_eq!((&worst["old"]["leaked"], &worst["new"]["leaked"]), (&118.into(), &390.into()));
    assert_eq!(worst["stack"][3], "api::upstream::fetch_user");
    let gone = json["changes"].as_array().unwrap().iter().find(|change| change["kind"] == "gone").unwrap();
    assert!(gone["new"].is_null() && gone["similarity"].is_null());
}

#[test]
fn no_line_is_wider_than_a_hundred_columns_and_none_is_a_command() {
    for (old, new) in [(fixtures::rich(), fixtures::hostile()), (fixtures::hostile(), canary())] {
        for line in text(&compare(&old, &new)).lines() {
            assert!(width(line) <= 100, "{line}");
            assert!(!line.contains(char::is_control), "{line}");
        }
    }
}
