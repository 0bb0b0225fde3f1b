//! Small crates in memory.

use super::*;

/// The circles of a crate whose root is `src/lib.rs`, each as its files' names without folder and ending.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let circles = found(files);
    let names = |circle: &Circle| {
        let stems = circle.arrows.iter().filter_map(|arrow| arrow.from.file_stem());
        stems.map(|stem| stem.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    };
    circles.iter().map(names).collect()
}

fn found(files: &[(&str, &str)]) -> Vec<Circle> {
    let read = |wanted: &Path| {
        let file = files.iter().find(|(name, _)| Path::new("src").join(name) == wanted);
        Ok(file.map(|(_, source)| (*source).to_owned()))
    };
    find(Path::new("src/lib.rs"), &read).unwrap()
}

const NONE: [&str; 0] = [];

#[test]
fn two_files_that_use_each_other_are_a_circle_and_the_lines_are_named() {
    let circles = found(&[
        ("lib.rs", "mod a;\nmod b;"),
        ("a.rs", "//! A.\nuse crate::b::{self, B};\npub struct A;"),
        ("b.rs", "pub struct B;\n\nfn b() {\n    super::a::A\n}"),
    ]);
    let text =
        "circle of 2 files\n    src/a.rs:2 imports src/b.rs: crate::b\n    src/b.rs:4 imports src/a.rs: super::a::A";
    assert_eq!(circles.iter().map(ToString::to_string).collect::<Vec<_>>(), [text]);
}

#[test]
fn a_circle_leads_through_re_exports_to_the_files_that_define() {
    let files = [
        ("lib.rs", "mod hall { pub mod a; mod b; pub mod c; pub use b::B; pub use self::c::*; }"),
        ("hall/a.rs", "use super::B; pub struct A;"),
        ("hall/b.rs", "use crate::hall::C; pub struct B;"),
        ("hall/c.rs", "fn c() -> super::a::A { A } pub struct C;"),
    ];
    assert_eq!(circles_of(&files), ["a b c"]);
}

#[test]
fn the_shortest_circle_of_a_group_is_shown() {
    let circles = found(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::c::C; pub struct B;"),
        ("c.rs", "use crate::{a::A, b::B}; pub struct C;"),
    ]);
    let first = circles[0].to_string();
    assert!(first.starts_with("circle of 2 files, the shortest one among 3 files that import each other\n"), "{first}");
    assert_eq!(circles.len(), 1);
}

#[test]
fn code_of_tests_makes_no_circle() {
    let b = "use crate::a::A; pub struct B;";
    for a in [
        "pub struct A;\n#[cfg(test)]\n#[allow(unused)]\nmod tests { use super::*; use crate::b::B; }",
        "pub struct A;\n#[cfg(all(test, feature = \"slow\"))]\nuse crate::b::B;",
        "pub struct A;\nimpl A { #[cfg(test)] fn b() -> crate::b::B {} }",
        "pub struct A;\n#[cfg(test)]\n#[path = \"more/a_tests.rs\"]\nmod tests;",
        "#[allow(unused)]\n#[cfg(any(test))]\nfn b() { crate::b::B }\npub struct A;",
    ] {
        assert_eq!(circles_of(&[("lib.rs", "mod a; mod b;"), ("a.rs", a), ("b.rs", b)]), NONE, "{a}");
    }
    let other = "pub struct A;\n#[cfg(any(test, feature = \"fixtures\"))]\nuse crate::b::B;";
    assert_eq!(circles_of(&[("lib.rs", "mod a; mod b;"), ("a.rs", other), ("b.rs", b)]), ["a b"]);
}

#[test]
fn a_parent_that_declares_or_re_exports_imports_nothing() {
    let child = "use super::Parent; pub struct Child; pub fn child() {}";
    for parent in [
        "mod child; pub struct Parent;",
        "mod child; pub use child::Child; pub struct Parent;",
        "mod child; pub(crate) use self::child::{Child, child}; pub struct Parent;",
        "pub mod child; pub use child::*; pub struct Parent;",
    ] {
        assert_eq!(circles_of(&[("lib.rs", "mod parent;"), ("parent.rs", parent), ("parent/child.rs", child)]), NONE);
    }
}

#[test]
fn a_parent_that_uses_its_child_imports_it() {
    let child = "use super::Parent; pub struct Child; pub fn child() {}";
    for parent in [
        "mod child; use child::Child; pub struct Parent;",
        "mod child; pub struct Parent; fn parent() { child::child() }",
        "mod child; pub struct Parent; fn parent() { println!(\"{}\", child::child()) }",
        "mod child; pub use child::Child; pub struct Parent(Child);",
        "mod child; pub struct Parent; fn parent() { use child::*; }",
    ] {
        let files = [("lib.rs", "mod parent;"), ("parent/mod.rs", parent), ("parent/child.rs", child)];
        assert_eq!(circles_of(&files), ["child mod"], "{parent}");
    }
}

#[test]
fn siblings_below_a_parent_import_each_other_and_not_the_parent() {
    let files = [
        ("lib.rs", "mod parent;"),
        ("parent.rs", "mod a; mod b; use a::A; fn parent() { b::B }"),
        ("parent/a.rs", "use super::b::B; pub struct A;"),
        ("parent/b.rs", "pub(in super::super) struct B; use leaktrace_model::a::A; fn b() { ::a::A; a.b }"),
    ];
    assert_eq!(circles_of(&files), NONE);
}

#[test]
fn a_name_that_leads_to_itself_is_of_another_crate() {
    let files = [
        ("lib.rs", "mod a; pub use a::*;"),
        ("a.rs", "use nix::nix; use serde::serde as serde; pub use super::*; fn a() { nix::nix(); serde::x() }"),
    ];
    assert_eq!(circles_of(&files), NONE);
}

#[test]
fn a_path_attribute_says_where_a_module_is() {
    let files = [
        ("lib.rs", "#[path = \"../other/x.rs\"] mod a; mod b;"),
        ("../other/x.rs", ""),
        ("b.rs", "use crate::a::A; pub struct B;"),
    ];
    let read = |wanted: &Path| {
        Ok(match wanted.to_str() {
            Some("other/x.rs") => Some("use crate::b::B; mod c; pub struct A;".to_owned()),
            Some("other/c.rs") => Some(String::new()),
            _ => {
                files.iter().find(|(name, _)| Path::new("src").join(name) == wanted).map(|(_, text)| (*text).to_owned())
            }
        })
    };
    let circles = find(Path::new("src/lib.rs"), &read).unwrap();
    assert_eq!(circles.iter().flat_map(|circle| &circle.arrows).count(), 2);
}

#[test]
fn a_missing_or_damaged_file_is_an_error_that_names_it() {
    let read = |wanted: &Path| Ok((wanted == Path::new("src/lib.rs")).then(|| "mod a;".to_owned()));
    let error = find(Path::new("src/lib.rs"), &read).unwrap_err();
    assert_eq!(error.to_string(), "src/lib.rs: no file of `mod a` is found");
    let error = find(Path::new("src/lib.rs"), &|_| Ok(Some("\nfn (".to_owned()))).unwrap_err();
    assert!(error.to_string().starts_with("cannot parse src/lib.rs, line 2: "), "{error}");
}
