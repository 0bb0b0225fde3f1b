//! Debug information made here, honest and hostile.

mod make;

use super::limits::MAX_TEXT;
use super::*;
use make::*;
use std::time::{Duration, Instant};

/// An address in the code of all that is made here.
const HERE: u64 = 0x1010;

fn open(made: Made, budget: &Budget) -> Result<Option<Dwarf>, Stop> {
    Dwarf::of(made.sections(), None, budget)
}

fn find(made: Made) -> Result<Option<Found>, Stop> {
    let budget = Budget::new(64 << 20);
    open(made, &budget)?.map_or(Ok(None), |dwarf| dwarf.find(HERE, &budget))
}

fn name(found: &Found, depth: usize) -> Option<&str> {
    found.functions.get(depth)?.name.as_deref()
}

#[test]
fn a_function_and_what_is_inlined_have_names_files_and_lines() {
    let body = [function("outer"), inlined("inner", 1, 7), end(), end()].concat();
    let found = find(Made::unit(&body).lines(&line_program(&one_line(12), &["b.c"]))).unwrap().unwrap();
    let of = |name: &str, line| Named { name: Some(name.into()), file: Some("/src/b.c".into()), line: Some(line) };
    assert_eq!(found.functions, [of("inner", 12), of("outer", 7)]);
    assert_eq!((found.bounds, found.is_function), (Some((0x1000, 0x8000_0fff)), true));
}

#[test]
fn a_line_of_a_file_that_is_not_there_has_no_file() {
    let program = [set_address(0x1000), vec![4], leb(9999), vec![1, 2], leb(0x7000_0000), vec![1], end_sequence()];
    let found = find(Made::unit(&[function("f"), end()].concat()).lines(&line_program(&program.concat(), &["a.c"])));
    let found = found.unwrap().unwrap();
    assert_eq!((name(&found, 0), found.functions[0].file.as_deref()), (Some("f"), None));
}

#[test]
fn nested_calls_are_followed_to_a_bound() {
    let depth = 6000;
    let body = [function("outer"), inlined("inner", 1, 7).repeat(depth), end().repeat(depth + 1)].concat();
    // A small stack: nothing here may recurse.
    let work = move || find(Made::unit(&body).lines(&line_program(&one_line(1), &["a.c"])));
    let found = std::thread::Builder::new().stack_size(256 << 10).spawn(work).unwrap().join().unwrap();
    let found = found.unwrap().unwrap();
    assert_eq!(found.functions.len(), MAX_INLINED + 1);
    assert_eq!((name(&found, 0), name(&found, MAX_INLINED)), (Some("inner"), Some("outer")));
    assert_eq!(found.functions[0].line, None, "its line belongs to a deeper call");
}

#[test]
fn names_that_lead_in_a_circle_end() {
    // An entry whose origin is itself: the unit's first entry has 34 bytes after a header of 11.
    let body = |at: u32| [function_from(at), end()].concat();
    let at = Made::unit(&body(0)).first_child();
    let found = find(Made::unit(&body(at)).lines(&line_program(&one_line(3), &["a.c"]))).unwrap().unwrap();
    assert_eq!((name(&found, 0), found.functions[0].line), (None, Some(3)));
}

#[test]
fn long_names_and_paths_are_cut() {
    let long = "n".repeat(200_000);
    let body = [function(&long), inlined(&long, 1, 7).repeat(50), end().repeat(51)].concat();
    let found = find(Made::unit(&body).lines(&line_program(&one_line(1), &[&long]))).unwrap().unwrap();
    assert_eq!(found.functions.len(), 51);
    assert!(found.functions.iter().all(|function| function.file.as_ref().unwrap().len() == MAX_TEXT));
    assert!(found.functions.iter().all(|function| function.name.as_ref().unwrap().len() == MAX_MANGLED));
}

#[test]
fn a_unit_with_too_many_rows_has_no_lines() {
    let rows = [set_address(0x1000), vec![0xff; 5 << 20], end_sequence()].concat();
    let start = Instant::now();
    let found = find(Made::unit(&[function("f"), end()].concat()).lines(&line_program(&rows, &["a.c"])));
    // On a slow machine the time is up first.
    assert!(found.is_err() || found.unwrap().is_some_and(|found| found.functions[0].line.is_none()));
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_line_program_with_a_huge_list_of_files_is_not_read() {
    let names: Vec<String> = (0..100_000).map(|number| format!("{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = find(Made::unit(&[function("f"), end()].concat()).lines(&line_program(&one_line(1), &names)));
    let found = found.unwrap().unwrap();
    assert_eq!((name(&found, 0), found.functions[0].line), (Some("f"), None));
}

#[test]
fn units_that_share_one_line_program_use_up_the_time_and_no_memory() {
    let program = [set_address(0x1000), vec![0xff; 64 << 10], end_sequence()].concat();
    let made = Made::units_without_ranges(20_000).lines(&line_program(&program, &["a.c"]));
    let start = Instant::now();
    let budget = Budget::new(64 << 20);
    assert_eq!(open(made, &budget).err(), Some(Stop::TooMuch));
    assert!(budget.is_spent() && start.elapsed() < Duration::from_secs(10));
    assert!(budget.taken() < 4 << 20, "{} bytes", budget.taken());
}

#[test]
fn a_long_table_of_abbreviations_is_not_read() {
    let mut made = Made::units_without_ranges(4000);
    made.abbreviations.pop();
    for code in 10..100_000_u64 {
        made.abbreviations.extend([leb(code), vec![0x34, 0, 0, 0]].concat());
    }
    made.abbreviations.push(0);
    let start = Instant::now();
    assert_eq!(find(made), Ok(None));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn functions_that_share_a_long_list_of_ranges_are_not_read() {
    let list: Vec<u8> =
        (0..8192_u64).flat_map(|n| [(0x1000 + n * 2).to_le_bytes(), (0x1001 + n * 2).to_le_bytes()].concat()).collect();
    let body = [function_with_list(0).repeat(2000), end()].concat();
    let found = find(Made::unit(&body).ranges(&[list, vec![0; 16]].concat()));
    assert!(matches!(found, Ok(None) | Err(Stop::TooMuch)), "{found:?}");
}

#[test]
fn memory_and_time_of_an_index_are_bounded() {
    let budget = Budget::new(100_000);
    assert_eq!(open(Made::units_without_ranges(50_000), &budget).err(), Some(Stop::TooMuch));
    let late = Budget::late();
    assert_eq!(open(Made::units_without_ranges(1000), &late).err(), Some(Stop::TooMuch));
}

#[test]
fn a_name_in_the_supplementary_file_is_found() {
    let other = Made::unit(&[function("shared"), end()].concat());
    let at = other.first_child();
    let made = Made::unit(&[function_from_alternate(at), end()].concat());
    let budget = Budget::new(1 << 20);
    let dwarf = Dwarf::of(made.sections(), Some(other.sections()), &budget).unwrap().unwrap();
    let found = dwarf.find(HERE, &budget).unwrap().unwrap();
    assert_eq!(name(&found, 0), Some("shared"));
}

#[test]
fn damaged_bytes_never_panic() {
    let body = [function("outer"), inlined("inner", 1, 7), end(), end()].concat();
    let whole = || Made::unit(&body).lines(&line_program(&one_line(12), &["b.c"]));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..3000 {
        let mut made = whole();
        for part in [&mut made.info, &mut made.abbreviations, &mut made.line] {
            let at = next(part.len());
            part[at] = [0, 1, 0x7f, 0x80, 0xff][next(5)];
        }
        let _ = find(made);
    }
}
