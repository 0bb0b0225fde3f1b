//! Which crate of this workspace may use which: the table of the architecture page, held against what `cargo metadata` says.

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// Each crate of the program and all it may use of this workspace; tests may use more.
const ARROWS: &[(&str, &[&str])] = &[
    ("leaktrace-common", &[]),
    ("leaktrace-ebpf", &["leaktrace-common"]),
    ("leaktrace-model", &["leaktrace-common"]),
    ("leaktrace-kernel", &["leaktrace-common", "leaktrace-model"]),
    ("leaktrace-symbols", &["leaktrace-model"]),
    ("leaktrace-track", &["leaktrace-model"]),
    ("leaktrace-recording", &["leaktrace-model"]),
    ("leaktrace-output", &["leaktrace-model"]),
    ("leaktrace-tui", &["leaktrace-model", "leaktrace-output"]),
    (
        "leaktrace",
        &[
            "leaktrace-kernel",
            "leaktrace-model",
            "leaktrace-output",
            "leaktrace-recording",
            "leaktrace-symbols",
            "leaktrace-track",
            "leaktrace-tui",
        ],
    ),
];

/// Libraries that only one crate may use, and which.
const OWNERS: &[(&str, &str)] = &[
    ("aya", "leaktrace-kernel"),
    ("aya-ebpf", "leaktrace-ebpf"),
    ("gimli", "leaktrace-symbols"),
    ("clap", "leaktrace"),
    ("ratatui", "leaktrace-tui"),
    ("crossterm", "leaktrace-tui"),
    ("seccompiler", "leaktrace-symbols"),
    ("prost", "leaktrace-output"),
];

/// What each crate of the program uses outside its tests, by name.
fn used() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap_or_else(|error| panic!("cargo cannot be started: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let named = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages = list(&metadata["packages"]);
    let of_program = packages.iter().filter(|package| ARROWS.iter().any(|(name, _)| *name == named(package)));
    of_program
        .map(|package| {
            let all = list(&package["dependencies"]);
            (named(package), all.iter().filter(|one| one["kind"].is_null()).map(named).collect())
        })
        .collect()
}

#[test]
fn every_crate_uses_what_the_table_says_and_nothing_else() {
    let found: BTreeMap<String, BTreeSet<String>> = used()
        .into_iter()
        .map(|(name, uses)| (name, uses.into_iter().filter(|one| one.starts_with("leaktrace")).collect()))
        .collect();
    let table = ARROWS.iter().map(|(name, uses)| {
        ((*name).to_owned(), uses.iter().map(|one| (*one).to_owned()).collect::<BTreeSet<String>>())
    });
    assert_eq!(found, table.collect::<BTreeMap<_, _>>());
}

#[test]
fn a_library_with_an_owner_is_used_by_nobody_else() {
    let used = used();
    for (library, owner) in OWNERS {
        let users: Vec<&String> =
            used.iter().filter(|(_, uses)| uses.contains(*library)).map(|(name, _)| name).collect();
        assert_eq!(users, [*owner], "{library}");
    }
}
