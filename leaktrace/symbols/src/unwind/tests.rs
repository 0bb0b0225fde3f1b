//! Compares walks of programs that wait in a known function with gdb's backtrace.

use super::*;

use crate::{
    DEFAULT_CACHE_BYTES, Symbolizer,
    testing::{Running, Scratch, gdb_backtrace, take},
};
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

/// Walks a waiting thread. Returns the walk and its names.
pub(super) fn walk_of(running: &Running, tid: u32) -> (Walk, Vec<String>) {
    let taken = take(tid);
    let mut maps = ProcessMaps::read(running.pid()).unwrap();
    let mut locator = Locator::default();
    let mut unwinder = Unwinder::default();
    let walk = unwinder.walk_copy(&mut locator, &mut maps, &taken.copy());
    let stack = locator.locate_stack(&mut maps, &walk.addresses);
    let mut symbolizer = Symbolizer::new(locator.modules().clone(), locator.images().clone(), DEFAULT_CACHE_BYTES);
    let names = symbolizer.resolve(&stack).into_iter().flatten().map(|frame| frame.symbol);
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
        // gdb cannot unwind through musl, so only the names are checked.
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

#[test]
fn damaged_tables_never_panic() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    for flags in ["-O2 -g", "-O2 -g -fno-asynchronous-unwind-tables"] {
        if scratch.run(&format!("cc {flags} -o a a.c -lpthread")).is_none() {
            return;
        }
        let whole = std::fs::read(scratch.path("a")).unwrap();
        let elf = crate::elf::Elf::read(&crate::bytes::Bytes::of_memory(whole.clone())).unwrap();
        let sections: Vec<_> = [".eh_frame", ".eh_frame_hdr", ".debug_frame"]
            .iter()
            .filter_map(|name| elf.section(name).map(|section| (section.offset, section.size)))
            .collect();
        let text = elf.section(".text").unwrap();
        let words: Vec<u8> = (0..4096_u64).flat_map(|word| (0x7000 + word * 8).to_le_bytes()).collect();
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below.max(1)
        };
        for round in 0..150 {
            let mut file = whole.clone();
            for _ in 0..1 + round % 24 {
                let (offset, size) = sections[usize::try_from(random(sections.len() as u64)).unwrap()];
                file[usize::try_from(offset + random(size)).unwrap()] = random(256).to_le_bytes()[0];
            }
            let image = Image::new(crate::open::memory(&file).unwrap(), "").unwrap();
            let Some(table) = Table::read(&image) else { continue };
            let mut context = UnwindContext::new();
            let stack = Stack::new(0x7000, &words);
            for vaddr in (text.addr..text.addr + text.size).step_by(3) {
                if let Some(entry) = table.entry(vaddr, &mut context) {
                    let _ = Registers::new(vaddr, 0x7000 + random(4000), random(u64::MAX)).caller(&entry, &stack);
                }
            }
            table.sample(100, |mut rows| while let Ok(Some(_)) = rows.next_row() {});
        }
    }
}

#[test]
fn a_stack_that_is_longer_than_its_copy_says_so() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    if scratch.run("cc -O2 -o a a.c -lpthread").is_none() {
        return;
    }
    let running = Running::start(&mut Command::new(scratch.path("a")));
    let taken = take(running.pid());
    let all = taken.copy();
    let mut maps = ProcessMaps::read(running.pid()).unwrap();
    let mut locator = Locator::default();
    let mut unwinder = Unwinder::default();
    let whole = unwinder.walk_copy(&mut locator, &mut maps, &all);
    for len in 0..=all.bytes.len() {
        let part = StackCopy { bytes: &all.bytes[..len], ..all };
        let walk = unwinder.walk_copy(&mut locator, &mut maps, &part);
        assert!(whole.addresses.starts_with(&walk.addresses), "{len}");
        let complete = walk.addresses.len() == whole.addresses.len();
        let ended = if complete { Ended::AtStart } else { Ended::Truncated(WalkEnd::CopyTooShort) };
        assert_eq!(walk.ended, ended, "{len} {:x?}", walk.addresses);
    }
}

#[test]
fn stacks_of_garbage_give_no_frame_that_is_not_behind_a_call() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    if scratch.run("cc -O2 -o a a.c -lpthread").is_none() {
        return;
    }
    let running = Running::start(&mut Command::new(scratch.path("a")));
    let taken = take(running.pid());
    let all = taken.copy();
    let mut maps = ProcessMaps::read(running.pid()).unwrap();
    let mut locator = Locator::default();
    let mut unwinder = Unwinder::default();
    let mut state = 1_u64;
    for round in 0..300 {
        let mut bytes = all.bytes.to_vec();
        for byte in bytes.iter_mut().skip(round % 64).step_by(1 + round % 7) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = state.to_le_bytes()[7];
        }
        let bp = if round % 2 == 0 { state } else { all.sp + state % 512 };
        let damaged = StackCopy { ip: all.ip.wrapping_add(state % 64), bp, sp: all.sp, bytes: &bytes };
        let walk = unwinder.walk_copy(&mut locator, &mut maps, &damaged);
        for address in walk.addresses.iter().skip(1) {
            assert_ne!(locator.is_behind_call(&mut maps, *address), Some(false));
        }
    }
}

#[test]
fn tables_stay_within_their_limit() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    let limit = 6000;
    let mut unwinder = Unwinder::new(limit);
    for index in 0..20 {
        if scratch.run(&format!("cc -O2 -Wl,--build-id=0x{index:040x} -o a{index} a.c -lpthread")).is_none() {
            return;
        }
        let image = Image::new(crate::open::regular(&scratch.path(&format!("a{index}"))).unwrap(), "").unwrap();
        assert!(unwinder.table(&image).is_some());
        assert!(unwinder.bytes() <= limit, "{}", unwinder.bytes());
    }
}

#[test]
fn a_table_goes_when_no_stack_needs_it() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    let mut images = Vec::new();
    for name in ["a", "b"] {
        let id = name.repeat(40);
        if scratch.run(&format!("cc -O2 -Wl,--build-id=0x{id} -o {name} a.c -lpthread")).is_none() {
            return;
        }
        images.push(Image::new(crate::open::regular(&scratch.path(name)).unwrap(), name).unwrap());
    }
    let mut unwinder = Unwinder::default();
    images.iter().for_each(|image| assert!(unwinder.table(image).is_some()));
    assert!(!unwinder.forget_unused(), "both were needed since the last call, which was never");
    let both = unwinder.bytes();
    assert!(unwinder.table(&images[0]).is_some());
    assert!(unwinder.forget_unused());
    assert!(unwinder.bytes() > 0 && unwinder.bytes() < both, "{} of {both}", unwinder.bytes());
    assert!(unwinder.forget_unused() && unwinder.bytes() == 0);
    assert!(unwinder.table(&images[1]).is_some(), "it is read again when it is needed again");
}

/// Builds and runs a program and compares with gdb. The names must contain `wanted`, in this order.
fn language(files: &[(&str, &str)], build: &str, wanted: &[&str]) {
    let scratch = Scratch::new();
    for (name, text) in files {
        scratch.write(name, text);
    }
    if scratch.run(build).is_none() {
        return;
    }
    let running = Running::start(&mut Command::new(scratch.path("a")));
    let Some((walk, names)) = agrees_with_gdb(&running, running.pid()) else { return };
    assert_eq!(walk.ended, Ended::AtStart, "{build}: {names:?}");
    let mut rest = names.iter();
    let found = wanted.iter().all(|wanted| rest.any(|name| name.contains(wanted)));
    assert!(found, "{build}: {wanted:?} in {names:?}");
}

#[test]
fn cpp_is_walked() {
    let text = "#include <cstdio>\n#include <functional>\n#include <memory>\n#include <unistd.h>\n
        namespace pool { struct Dialer { virtual ~Dialer() = default; virtual int leak(int n); };
        int Dialer::leak(int n) { printf(\"ready\\n\"); fflush(stdout); for (;;) pause(); return n; }
        struct Other : Dialer { int leak(int n) override { try { return Dialer::leak(n) + 1; } catch (...) { return 0; } } }; }
        int main(int n, char **) { std::unique_ptr<pool::Dialer> d(new pool::Other);
          std::function<int(int)> f = [&](int m) { return d->leak(m) + n; }; return f(3); }";
    for flags in ["-O0 -g", "-O2 -g", "-O2 -g -fno-omit-frame-pointer"] {
        language(
            &[("a.cc", text)],
            &format!("g++ {flags} -o a a.cc"),
            &["pool::Dialer::leak", "pool::Other::leak", "main"],
        );
    }
}

#[test]
fn rust_is_walked() {
    let text = "use std::io::Read; mod pool { #[inline(never)] pub fn leak(n: &mut u8) -> usize { println!(\"ready\"); \
        loop { std::thread::park(); *n = n.wrapping_add(1); if *n == 77 { return 1 } } } }
        #[inline(never)] fn deeper(n: u8, m: &mut u8) -> usize { if n == 0 { pool::leak(m) } else { deeper(n - 1, m) + 1 } }
        fn main() { let mut m = 0; let _ = std::io::empty().read(&mut [0]); std::process::exit(deeper(3, &mut m) as i32) }";
    for flags in
        ["-g", "-Copt-level=3 -g", "-Copt-level=3 -Cforce-frame-pointers=yes -g", "-Copt-level=3 -Cpanic=abort -g"]
    {
        language(&[("a.rs", text)], &format!("rustc {flags} -o a a.rs"), &["pool::leak", "main"]);
    }
}

#[test]
fn frames_that_align_the_stack_are_walked() {
    let text = "#include <stdio.h>\n#include <unistd.h>\n#include <immintrin.h>\ntypedef double v __attribute__((vector_size(32)));
        __attribute__((noinline)) void waits(v *x) { printf(\"ready %f\\n\", (*x)[0]); fflush(stdout); for (;;) pause(); }
        __attribute__((noinline)) double leak(int n) { v x[n]; v y = {n, 1, 2, 3}; for (int i = 0; i < n; i++) x[i] = y; waits(&x[n / 2]); return x[0][1]; }
        int main(int n, char **a) { v z = {n, 2, 3, 4}; double d = leak(n * 5); waits(&z); return (int) d; }";
    for flags in ["-O2 -mavx", "-O0 -mavx", "-O2 -mavx -mstackrealign"] {
        language(&[("a.c", text)], &format!("cc {flags} -g -o a a.c"), &["waits", "leak", "main"]);
    }
}

#[test]
fn a_walk_goes_through_a_signal() {
    let text = "#include <signal.h>\n#include <stdio.h>\n#include <unistd.h>\n
        static void handler(int n) { printf(\"ready %d\\n\", n); fflush(stdout); for (;;) pause(); }
        __attribute__((noinline)) int leak(volatile int *n) { while (*n) { (*n)++; if (*n == 1000000) raise(SIGUSR1); } return *n; }
        int main(void) { volatile int n = 1; signal(SIGUSR1, handler); return leak(&n); }";
    language(&[("a.c", text)], "cc -O2 -g -o a a.c", &["handler", "leak", "main"]);
}
