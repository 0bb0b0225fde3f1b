//! Claims about [`json`](super): nothing is lost, the schema holds, a million sockets stream.

use super::*;
use crate::{Destination, ReportFormat, write_report};
use leaktrace_model::fixtures;
use serde_json::Value;

fn text(snapshot: &Snapshot) -> String {
    let mut out = Vec::new();
    Json.write(snapshot, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn all() -> [Snapshot; 5] {
    [fixtures::empty(), fixtures::rich(), fixtures::degraded(), fixtures::hostile(), fixtures::run()]
}

#[test]
fn what_is_written_reads_back_equal() {
    for snapshot in all() {
        let read: Value = serde_json::from_str(&text(&snapshot)).unwrap();
        assert_eq!(read, serde_json::to_value(&snapshot).unwrap());
    }
}

#[test]
fn every_socket_has_a_line_of_its_own() {
    let report = text(&fixtures::rich());
    assert_eq!(report.lines().filter(|line| line.starts_with("    {\"cookie\":")).count(), 4);
    assert!(report.starts_with("{\n  \"schema_version\":1,\n") && report.ends_with("\n  ]\n}\n"), "{report}");
    assert!(text(&fixtures::empty()).contains("\n  \"sockets\":[]\n}\n"));
}

#[test]
fn reports_satisfy_the_published_schema() {
    let schema: Value = serde_json::from_str(REPORT_SCHEMA).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for snapshot in all() {
        let report: Value = serde_json::from_str(&text(&snapshot)).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&report).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

#[test]
fn the_schema_describes_every_field_and_refuses_a_report_without_one() {
    let schema: Value = serde_json::from_str(REPORT_SCHEMA).unwrap();
    let mut report = serde_json::to_value(fixtures::degraded()).unwrap();
    report["run"] = serde_json::to_value(fixtures::run().run).unwrap();
    let mut described = Vec::new();
    check_described(&schema, &schema, &report, "", &mut described);
    assert!(described.len() > 100, "{}", described.len());
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    // Only the report of a command has this one.
    described.retain(|path| path != "/run");
    for path in described {
        let (parent, name) = path.rsplit_once('/').unwrap();
        let mut cut = report.clone();
        cut.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
        assert!(!validator.is_valid(&cut), "report.schema.json, required: {path} is missing");
    }
}

/// Every member of `value` must be listed and required; collects their JSON pointers.
fn check_described(root: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let (part, schema) = match schema.get("$ref").and_then(Value::as_str) {
        Some(target) => (target, root.pointer(target.trim_start_matches('#')).unwrap()),
        None => ("#", schema),
    };
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
        let real = any.iter().find(|option| option.get("type").and_then(Value::as_str) != Some("null")).unwrap();
        return check_described(root, real, value, path, found);
    }
    match value {
        Value::Object(members) if schema.get("properties").is_some() => {
            for (name, member) in members {
                let path = format!("{path}/{name}");
                let described = schema["properties"]
                    .get(name)
                    .unwrap_or_else(|| panic!("report.schema.json, {part}, properties: {path} is missing"));
                found.push(path.clone());
                check_described(root, described, member, &path, found);
            }
        }
        Value::Array(elements) => {
            if let (Some(items), Some(first)) = (schema.get("items"), elements.first()) {
                check_described(root, items, first, &format!("{path}/0"), found);
            }
        }
        _ => {}
    }
}

/// Prints figures and never fails on them: time and peak memory over the snapshot itself of a huge report.
#[test]
#[ignore = "measures; takes about a gigabyte"]
fn a_million_sockets_are_measured() {
    let snapshot = fixtures::many_sockets(1_000_000);
    let folder = tempfile::tempdir().unwrap();
    for format in [ReportFormat::Json, ReportFormat::Csv] {
        let path = folder.path().join(format.name());
        let before = memory("VmRSS:");
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let begin = std::time::Instant::now();
        write_report(&snapshot, format, &Destination::file(path.clone())).unwrap();
        let seconds = begin.elapsed().as_secs_f64();
        let size = std::fs::metadata(&path).unwrap().len() >> 20;
        let grown = memory("VmHWM:").saturating_sub(before);
        println!("{}: {seconds:.2} s, {size} MiB written, {grown} KiB more than the snapshot", format.name());
    }
}

fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// No recording holds a command that was run, or says how stacks were sampled, so `tests/formats` has no such report.
#[test]
fn the_report_of_a_command_is_what_it_was() {
    let snapshot = Snapshot { run: fixtures::run().run, ..fixtures::degraded() };
    insta::with_settings!({ prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("report_of_a_command", text(&snapshot));
    });
}

#[test]
fn characters_that_a_terminal_obeys_are_escaped_and_mean_the_same() {
    let text = "a\u{9b}31m\u{202e}b\u{e0001}\u{7f}\\ \"é\u{1f600}\n";
    let line = String::from_utf8(json_line(&text).unwrap()).unwrap();
    assert_eq!(line, r#""a\u009b31m\u202eb\udb40\udc01\u007f\\ \"é😀\n""#);
    assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    let mut report = Vec::new();
    write_json(&std::collections::BTreeMap::from([(text, text)]), &mut report).unwrap();
    assert!(!String::from_utf8(report.clone()).unwrap().contains(|c| c != '\n' && crate::clean::is_harmful(c)));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&report).unwrap()[text], text);
}
