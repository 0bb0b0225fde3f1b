//! Reports that are damaged, foreign, or made to do harm.

use super::*;

fn refusal(text: &str) -> String {
    parse(text.as_bytes(), "old.json").unwrap_err().to_string()
}

#[test]
fn a_report_of_another_version_is_named_as_such() {
    let expected = "cannot read old.json: it has schema_version 2 and this leaktrace reads 1; compare it with the \
                    leaktrace that wrote it";
    assert_eq!(refusal("{\"schema_version\": 2, \"callsites\": \"something else\"}"), expected);
    assert_eq!(refusal("{\"tool\": {}, \"schema_version\": 2"), expected);
}

#[test]
fn what_is_not_a_report_is_refused_with_advice() {
    for (text, reason) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("[]", "invalid type: sequence, expected a leaktrace report at line 1 column 1"),
        ("{}", "missing field `schema_version` at line 1 column 2"),
        ("{\"schema_version\":1}", "missing field `callsites` at line 1 column 20"),
        ("{\"schema_version\":1,\"callsites\":[]} x", "trailing characters at line 1 column 37"),
    ] {
        let message = refusal(text);
        assert!(message.starts_with("cannot read old.json as a JSON report: "), "{message}");
        assert!(message.contains(reason), "{message}");
        assert!(message.ends_with("; write one with leaktrace report --format json"), "{message}");
    }
    assert!(refusal("{\"schema_version\":-1}").contains("invalid value"));
}

#[test]
fn a_report_cut_at_any_byte_is_refused_and_nothing_panics() {
    let mut bytes = Vec::new();
    let mut small = fixtures::rich();
    small.callsites.truncate(1);
    small.sockets.truncate(1);
    small.processes.clear();
    ReportFormat::Json.format().write(&small, &mut bytes).unwrap();
    let whole = bytes.iter().rposition(|byte| *byte == b'}').unwrap();
    for length in 0..=whole {
        assert!(parse(&bytes[..length], "cut.json").is_err(), "{length}");
    }
    let other = read(&fixtures::empty());
    for at in (0..bytes.len()).step_by(5) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x15;
        if let Ok(report) = parse(&damaged[..], "damaged.json") {
            let _ = Diff::of(report, other.clone(), &DiffOptions::default());
        }
    }
}

#[test]
fn endless_lists_and_nesting_end_in_an_error() {
    let sites = format!("{{\"schema_version\":1,\"callsites\":[{}{{}}]}}", "{},".repeat(100_000));
    assert!(refusal(&sites).contains("invalid length 100001, expected a list of at most 100000 elements"));
    let frames = format!("{{\"schema_version\":1,\"callsites\":[{{\"stack\":[{}{{}}]}}]}}", "{},".repeat(4_096));
    assert!(refusal(&frames).contains("at most 4096 elements"));
    let nested = "[".repeat(1_000_000);
    assert!(refusal(&format!("{{\"schema_version\":{nested}")).contains("invalid type"));
    assert!(refusal(&format!("{{\"later\":{nested}")).contains("EOF while parsing"));
}

#[test]
fn members_of_other_versions_are_skipped_and_missing_ones_unknown() {
    let report = parse(
        &b"{\"schema_version\":1,\"later\":[{\"x\":1}],\"callsites\":[{\"open\":3,\"later\":{}}]}"[..],
        "later.json",
    )
    .unwrap();
    assert_eq!((report.callsites.len(), report.callsites[0].open, report.open), (1, 3, None));
}

#[test]
fn names_of_other_versions_are_unknown_and_what_is_not_a_name_is_refused() {
    let site = |members: &str| format!("{{\"schema_version\":1,\"callsites\":[{{{members}}}]}}");
    let later = site("\"direction\":\"sideways\",\"verdicts\":{\"close-wait\":2,\"haunted\":9}");
    let later = &parse(later.as_bytes(), "later.json").unwrap().callsites[0];
    assert_eq!(later.direction, Direction::Unknown);
    assert_eq!(later.verdicts, [(Verdict::CloseWait, 2)].into_iter().collect());
    assert!(refusal(&site("\"direction\":7")).contains("invalid type: integer `7`, expected a string"));
    assert!(refusal(&site("\"verdicts\":{\"haunted\":-1}")).contains("expected u64"));
    assert!(refusal(&site("\"verdicts\":[]")).contains("invalid type: sequence, expected a map"));
}

#[test]
fn numbers_at_the_end_of_their_range_do_not_wrap() {
    let mut snapshot = fixtures::rich();
    for site in &mut snapshot.callsites {
        (site.sums.open, site.sums.flagged, site.opened) = (u64::MAX, u64::MAX, u64::MAX);
        site.stack.clear();
        (site.comm, site.direction, site.exe) = ("x".into(), Direction::Connect, None);
        site.sums.verdicts.set(Verdict::CloseWait, u64::MAX);
    }
    let diff = compare(&snapshot, &fixtures::rich());
    assert!(text(&diff).contains("18,446,744,073,709,551,615"));
}

#[test]
fn very_many_call_sites_are_compared_by_their_names_alone() {
    let mut old = fixtures::rich();
    let pattern = old.callsites[0].clone();
    old.callsites = (0..3_000)
        .map(|index| {
            let mut site = pattern.clone();
            site.stack[3].symbol = Some(format!("api::call_{index}"));
            site
        })
        .collect();
    let mut new = old.clone();
    for (index, site) in new.callsites.iter_mut().enumerate() {
        site.stack[4].symbol = Some(format!("api::other_{index}"));
    }
    let diff = compare(&old, &new);
    assert_eq!((diff.count(ChangeKind::New), diff.count(ChangeKind::Gone)), (3_000, 3_000));
}

#[test]
fn a_missing_file_and_a_folder_are_reported() {
    let missing = read_report(std::path::Path::new("/nonexistent/old.json")).unwrap_err().to_string();
    assert_eq!(missing, "cannot read /nonexistent/old.json: No such file or directory (os error 2)");
    assert_eq!(read_report(std::path::Path::new("/")).unwrap_err().to_string(), "cannot read /: is a directory");
}
