//! Walks of programs that wait in a named function, against gdb's backtrace of the same moment.

use super::*;
use crate::symbols::testing::{Running, Scratch, gdb_backtrace, take};
use crate::symbols::{DEFAULT_CACHE_BYTES, Symbolizer};
use std::process::Command;

pub(super) const C: &str = r#"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <pthread.h>
#define KEEP __attribute__((noinline, noclone))
static volatile int sink;
KEEP void waits(int n) { char b[64]; memset(b, n, 64); printf("ready %d\n", n); fflush(stdout); for (;;) pause(); sink = b[n]; }
KEEP int leak(int n, double d) { char big[n * 16]; memset(big, n, sizeof big); waits(n); sink = big[0] + (int) d; return sink; }
KEEP int deeper(int n) { int r = n ? deeper(n - 1) + 1 : leak(3, 2.5); sink = r; return r; }
KEEP void *thread(void *a) { sink = deeper(5); return a; }
int main(int argc, char **argv) {
  if (argc > 1) { pthread_t t; pthread_create(&t, 0, thread, 0); pthread_join(t, 0); }
  else sink = deeper(9);
  return 0;
}
"#;

/// Walks a waiting thread and compares with gdb. Returns the walk and its names.
fn agrees_with_gdb(running: &Running, tid: u32) -> Option<(Walk, Vec<String>)> {
    let expected = gdb_backtrace(running.pid(), tid)?;
    let (walk, names) = walk_of(running, tid);
    assert_eq!(walk.addresses, expected, "{:?} {:x?} {:x?}", walk.ended, walk.addresses, expected);
    Some((walk, names))
}

/// Walks a waiting thread; the walk and its names.
pub(super) fn walk_of(running: &Running, tid: u32) -> (Walk, Vec<String>) {
    let captured = take(tid);
    let mut maps = ProcessMaps::read(running.pid()).unwrap();
    let mut locator = Locator::default();
    let mut unwinder = Unwinder::default();
    let walk = unwinder.walk_capture(&mut locator, &mut maps, &captured);
    let stack = locator.locate_stack(&mut maps, &walk.addresses);
    let mut symbolizer = Symbolizer::new(locator.modules().clone(), locator.images().clone(), DEFAULT_CACHE_BYTES);
    let names = symbolizer.resolve(&stack).into_iter().map(|frames| frames.last().unwrap().symbol.clone());
    (walk, names.map(Option::unwrap_or_default).collect())
}

fn check(flags: &str, strip: bool, compiler: &str) {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    if scratch.run(&format!("{compiler} {flags} -o a a.c -lpthread")).is_none() {
        return;
    }
    if strip {
        scratch.run("strip a");
    }
    let running = Running::start(&mut Command::new(scratch.path("a")));
    let Some((walk, names)) = agrees_with_gdb(&running, running.pid()) else { return };
    assert_eq!(walk.ended, Ended::AtStart, "{flags}: {names:?}");
    assert!(strip || names.iter().filter(|name| *name == "deeper").count() == 10, "{flags}: {names:?}");
    let running = Running::start(Command::new(scratch.path("a")).arg("thread"));
    let Some((walk, names)) = agrees_with_gdb(&running, running.other_thread()) else { return };
    assert_eq!(walk.ended, Ended::AtStart, "{flags}: {names:?}");
    assert!(strip || names.contains(&"thread".to_owned()), "{flags}: {names:?}");
}

#[test]
fn c_without_frame_pointers_is_walked_to_the_start_of_the_thread() {
    for flags in ["-O2 -fomit-frame-pointer", "-O0 -g", "-O3 -no-pie", "-O2 -static"] {
        check(flags, false, "cc");
    }
}

#[test]
fn c_with_frame_pointers_is_walked_as_well() {
    check("-O2 -fno-omit-frame-pointer", false, "cc");
}

#[test]
fn stripped_programs_are_walked() {
    check("-O2", true, "cc");
    check("-O2 -static", true, "cc");
}

#[test]
fn musl_programs_are_walked_although_musl_has_no_tables() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    for flags in ["-O2 -static", "-O2", "-O2 -static -s"] {
        if scratch.run(&format!("musl-gcc {flags} -o a a.c")).is_none() {
            return;
        }
        let running = Running::start(&mut Command::new(scratch.path("a")));
        // gdb does not get through musl, so the names have to do.
        let (walk, names) = walk_of(&running, running.pid());
        assert_eq!(walk.ended, Ended::AtStart, "{flags}: {names:?}");
        assert!(walk.addresses.len() >= 14, "{flags} {names:?}");
        let expected = [&["waits", "leak"][..], &["deeper"; 10], &["main"]].concat();
        let is_there = names.windows(expected.len()).any(|window| window == expected);
        assert!(is_there || flags.ends_with("-s"), "{flags}: {names:?}");
        let running = Running::start(Command::new(scratch.path("a")).arg("thread"));
        let (threaded, names) = walk_of(&running, running.other_thread());
        assert_eq!(threaded.ended, Ended::AtStart, "{flags}: {names:?}");
    }
}
