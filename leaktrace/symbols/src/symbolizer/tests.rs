//! Compares names of programs built by this machine's compilers with those of binutils.

mod hostile;

use super::*;
use crate::{
    Locator, open,
    testing::{Scratch, allocated_here, place},
};
use leaktrace_skip::{Lack, skip};
use std::fs::File;

const C: &str = r#"
#include <stdio.h>
#include <unistd.h>
__attribute__((noinline)) void wait_here(int n) { printf("%d\n", n); fflush(stdout); pause(); }
static inline __attribute__((always_inline)) void merged(int n) { wait_here(n); wait_here(n + 1); }
__attribute__((noinline)) void leak(int n) { merged(n); merged(n + 2); }
static __attribute__((noinline)) void hidden(int n) { leak(n); leak(n); }
int main(int argc, char **argv) { hidden(argc); return 0; }
"#;

fn symbolizer(locator: &Locator) -> Symbolizer {
    Symbolizer::new(locator.modules().clone(), locator.images().clone(), DEFAULT_CACHE_BYTES)
}

/// Address, size and name of each function in the output of `nm`.
fn functions(scratch: &Scratch, file: &str) -> Option<Vec<(u64, u64, String)>> {
    let listing = scratch.run(&format!("nm -S --defined-only {file}"))?;
    let parse = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, size, kind, name] = words[..] else { return None };
        let hex = |digits| u64::from_str_radix(digits, 16).ok();
        "tTwW".contains(kind).then_some((hex(address)?, hex(size)?, name.to_owned()))
    };
    Some(listing.lines().filter_map(parse).collect())
}

/// Output of `addr2line -f -i -C`: function, then file and line; innermost first.
fn addr2line(scratch: &Scratch, file: &str, address: u64) -> Option<Vec<(String, String)>> {
    let text = scratch.run(&format!("addr2line -f -i -C -e {file} {address:#x}"))?;
    let lines: Vec<&str> = text.lines().collect();
    Some(lines.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect())
}

/// Compares every fifth address of the named functions with addr2line. Returns the number of inlined frames.
fn agrees_with_addr2line(scratch: &Scratch, file: &str, names: &[&str]) -> Option<usize> {
    let locator = Locator::default();
    let mut symbolizer = symbolizer(&locator);
    let mut merged = 0;
    for (start, size, symbol) in functions(scratch, file)? {
        if !names.iter().any(|name| symbol.contains(name)) {
            continue;
        }
        for address in (start..start + size).step_by(5) {
            let expected = addr2line(scratch, file, address)?;
            let frames = symbolizer.resolve_one(&place(&locator, &scratch.path(file), address), Role::Leaf);
            let got: Vec<String> = frames.iter().map(|frame| frame.symbol.clone().unwrap_or_default()).collect();
            assert_eq!(frames.len(), expected.len(), "{symbol} {address:#x}: {got:?} {expected:?}");
            for (frame, (name, line)) in frames.iter().zip(&expected) {
                // The two demanglers print templates and hashes differently.
                let bare = |name: &str| name.split(['<', '(']).next().unwrap_or_default().trim().to_owned();
                let hash = |name: &str| name.rsplit_once("::h").map_or(name.to_owned(), |(head, _)| head.to_owned());
                assert_eq!(bare(frame.symbol.as_deref().unwrap()), bare(&hash(name)), "{address:#x}");
                let number = line.split([':', ' ']).nth(1).and_then(|number| number.parse::<u32>().ok());
                assert_eq!(frame.line, number.filter(|line| *line > 0), "{symbol} {address:#x} {line}");
            }
            let inner = frames.len() - 1;
            assert!(frames[..inner].iter().all(|frame| frame.inlined) && !frames[inner].inlined);
            assert_eq!(frames[inner].offset, Some(address - start));
            merged += inner;
        }
    }
    Some(merged)
}

#[test]
fn c_functions_lines_and_merged_functions_are_those_of_addr2line() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    for flags in ["-O2 -g", "-O0 -g", "-O2 -g -static", "-O2 -g -no-pie", "-O2 -g -gdwarf-4 -Wl,--build-id=none"] {
        if scratch.run(&format!("cc {flags} -o a a.c")).is_none() {
            return;
        }
        let names = ["wait_here", "leak", "hidden", "main"];
        let Some(merged) = agrees_with_addr2line(&scratch, "a", &names) else { return };
        assert!(merged > 0, "{flags}: nothing was merged");
    }
}

#[test]
fn functions_of_the_c_library_have_names_but_no_lines() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    if scratch.run("cc -O2 -g -o a a.c").is_none() {
        return;
    }
    scratch.run("cp a libc.so.6");
    let Some(all) = functions(&scratch, "a") else { return };
    let (address, size, _) = all.into_iter().find(|function| function.2 == "leak").unwrap();
    let named = |file: &str| {
        let locator = Locator::default();
        symbolizer(&locator).resolve_one(&place(&locator, &scratch.path(file), address + size - 1), Role::Leaf)
    };
    let whole = named("a");
    assert!(whole.len() > 1 && whole.iter().all(|frame| frame.line.is_some()), "{whole:?}");
    let bare = named("libc.so.6");
    assert_eq!((bare.len(), bare[0].symbol.as_deref(), bare[0].line), (1, Some("leak"), None), "{bare:?}");
    assert_eq!(bare[0].offset, Some(size - 1));
}

#[test]
fn functions_in_pieces_have_lines_and_offsets() {
    let scratch = Scratch::new();
    scratch.write(
        "a.c",
        "#include <stdio.h>\n#include <stdlib.h>\n__attribute__((noinline, cold)) void bad(int n) { printf(\"%d\", n); }\n\
         __attribute__((noinline)) int leak(int n) {\n  if (n > 5) {\n    bad(n);\n    bad(n + 1);\n    abort();\n  }\n\
         return puts(\"a\") + n;\n}\nint main(int n, char **a) { return leak(n); }\n",
    );
    if scratch.run("cc -O2 -g -o a a.c").is_none() {
        return;
    }
    let Some(pieces) = functions(&scratch, "a") else { return };
    let find = |name: &str| pieces.iter().find(|piece| piece.2 == name).map(|piece| (piece.0, piece.1));
    let (Some((start, size)), Some((cold, _))) = (find("leak"), find("leak.cold")) else {
        return skip(Lack::Machine("this compiler does not split functions"));
    };
    let locator = Locator::default();
    let mut symbolizer = symbolizer(&locator);
    let mut resolve = |address| symbolizer.resolve_one(&place(&locator, &scratch.path("a"), address), Role::Leaf);
    let warm = resolve(start + size - 1);
    assert_eq!((warm[0].symbol.as_deref(), warm[0].offset), (Some("leak"), Some(size - 1)));
    assert!(warm[0].line.is_some());
    let cold = resolve(cold + 3);
    assert_eq!((cold[0].symbol.as_deref(), cold[0].offset), (Some("leak"), None));
    assert!(cold[0].line.is_some());
}

#[test]
fn cpp_and_rust_names_are_readable() {
    let scratch = Scratch::new();
    scratch.write(
        "a.cc",
        "#include <vector>\nnamespace pool { template <class T> struct Dialer { __attribute__((noinline)) int leak(T n) \
         { volatile T m = n; return m; } }; }\nint main(int n, char **) { return pool::Dialer<int>().leak(n); }",
    );
    if scratch.run("g++ -O1 -g -o cc a.cc").is_some() {
        agrees_with_addr2line(&scratch, "cc", &["leak"]);
        let (address, ..) = functions(&scratch, "cc").unwrap().into_iter().find(|f| f.2.contains("leak")).unwrap();
        let locator = Locator::default();
        let frames = symbolizer(&locator).resolve_one(&place(&locator, &scratch.path("cc"), address), Role::Leaf);
        assert!(frames[0].symbol.as_deref().unwrap().starts_with("pool::Dialer<int>::leak"), "{frames:?}");
    }
    scratch.write(
        "a.rs",
        "mod pool { pub struct Dialer; impl Dialer { #[inline(never)] pub fn leak<T: std::fmt::Debug>(&self, t: T) \
         { println!(\"{t:?}\"); } } } fn main() { pool::Dialer.leak(1); }",
    );
    for flags in ["-g", "-Copt-level=2 -g", "-Copt-level=2"] {
        if scratch.run(&format!("rustc {flags} -o rs a.rs")).is_none() {
            return;
        }
        let (address, ..) = functions(&scratch, "rs").unwrap().into_iter().find(|f| f.2.contains("leak")).unwrap();
        let locator = Locator::default();
        let frames = symbolizer(&locator).resolve_one(&place(&locator, &scratch.path("rs"), address), Role::Leaf);
        let name = frames.last().unwrap().symbol.as_deref().unwrap();
        assert!(name.contains("pool::Dialer") && name.contains("leak") && !name.contains("::h"), "{name}");
    }
}

#[test]
fn a_stripped_program_gets_names_from_its_debug_file() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    if scratch.run("cc -O2 -g -o a a.c").is_none() {
        return;
    }
    let Some(all) = functions(&scratch, "a") else { return };
    let (address, ..) = all.into_iter().find(|function| function.2 == "hidden").unwrap();
    scratch.run("cp a whole");
    scratch.run("objcopy --only-keep-debug a a.debug");
    scratch.run("strip a");
    let resolve = || {
        let locator = Locator::default();
        symbolizer(&locator).resolve_one(&place(&locator, &scratch.path("a"), address), Role::Leaf)
    };
    let frames = resolve();
    assert_eq!(
        frames,
        [Frame { address, offset: Some(address), module: frames[0].module.clone(), ..Frame::default() }]
    );
    scratch.run("objcopy --add-gnu-debuglink=a.debug a");
    let frames = resolve();
    assert_eq!(frames.last().unwrap().symbol.as_deref(), Some("hidden"));
    assert_eq!(frames.last().unwrap().line, Some(7));
    // The debug file of another build must not be used.
    scratch.write("b.c", &format!("int other;\n{C}"));
    scratch.run("cc -O2 -g -o b b.c");
    scratch.run("objcopy --only-keep-debug b a.debug");
    let frames = resolve();
    assert_eq!(frames[0].symbol, None, "{frames:?}");
}

#[test]
fn the_debug_file_of_a_program_without_a_build_id_is_known_by_its_checksum() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    if scratch.run("cc -O2 -g -Wl,--build-id=none -o a a.c").is_none() {
        return;
    }
    let Some(all) = functions(&scratch, "a") else { return };
    let (address, ..) = all.into_iter().find(|function| function.2 == "hidden").unwrap();
    scratch.run("objcopy --only-keep-debug a a.debug");
    scratch.run("objcopy --strip-all --add-gnu-debuglink=a.debug a");
    let resolve = || {
        let locator = Locator::default();
        let frames = symbolizer(&locator).resolve_one(&place(&locator, &scratch.path("a"), address), Role::Leaf);
        let last = frames.last().unwrap();
        (last.symbol.clone(), last.line)
    };
    assert_eq!(resolve(), (Some("hidden".to_owned()), Some(7)));
    scratch.run("objcopy --add-section more=a.c a.debug");
    assert_eq!(resolve(), (None, None), "it was changed since");
}

#[test]
fn a_program_that_was_deleted_or_replaced_keeps_its_names() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    if scratch.run("cc -g -o a a.c").is_none() {
        return;
    }
    let (address, ..) = functions(&scratch, "a").unwrap().into_iter().find(|f| f.2 == "leak").unwrap();
    let locator = Locator::default();
    let location = place(&locator, &scratch.path("a"), address);
    std::fs::remove_file(scratch.path("a")).unwrap();
    scratch.write("a", "something else");
    let frames = symbolizer(&locator).resolve_one(&location, Role::Leaf);
    assert_eq!(frames[0].symbol.as_deref(), Some("leak"));
}

#[test]
fn a_program_that_was_written_over_gets_no_names() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    if scratch.run("cc -g -o a a.c").is_none() {
        return;
    }
    let (address, ..) = functions(&scratch, "a").unwrap().into_iter().find(|f| f.2 == "leak").unwrap();
    let locator = Locator::default();
    let location = place(&locator, &scratch.path("a"), address);
    File::options().write(true).open(scratch.path("a")).unwrap().set_len(20_000).unwrap();
    let frames = symbolizer(&locator).resolve_one(&location, Role::Leaf);
    assert_eq!((frames.len(), frames[0].symbol.as_deref()), (1, None));
    assert_eq!(frames[0].offset, Some(location.offset));
}

#[test]
fn the_same_build_elsewhere_is_not_read_twice() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    if scratch.run("cc -g -o a a.c").is_none() {
        return;
    }
    scratch.run("cp a b");
    let (address, ..) = functions(&scratch, "a").unwrap().into_iter().find(|f| f.2 == "leak").unwrap();
    let locator = Locator::default();
    let mut symbolizer = symbolizer(&locator);
    for name in ["a", "b"] {
        let frames = symbolizer.resolve_one(&place(&locator, &scratch.path(name), address), Role::Leaf);
        assert_eq!(frames[0].module.as_deref(), scratch.path(name).to_str(), "the path is each one's own");
    }
    assert_eq!(symbolizer.parsed.len(), 1);
}

#[test]
fn a_return_address_belongs_to_the_call_before_it() {
    let scratch = Scratch::new();
    scratch.write("a.c", "void f(void); void g(void);\n__attribute__((noinline)) void f(void) { __builtin_trap(); }\nint main(void) { f(); return 0; }");
    if scratch.run("cc -O2 -fno-reorder-functions -g -o a a.c").is_none() {
        return;
    }
    let (start, size, _) = functions(&scratch, "a").unwrap().into_iter().find(|function| function.2 == "f").unwrap();
    let locator = Locator::default();
    let mut symbolizer = symbolizer(&locator);
    // The address right after a function that ends in a call, as a return address.
    let behind = place(&locator, &scratch.path("a"), start + size);
    let frames = symbolizer.resolve(&[behind.clone(), behind]);
    assert_ne!(frames[0][0].symbol.as_deref(), Some("f"));
    assert_eq!((frames[1][0].symbol.as_deref(), frames[1][0].offset), (Some("f"), Some(size)));
}

#[test]
fn memory_stays_within_the_limit() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    if scratch.run("cc -g -o a a.c").is_none() {
        return;
    }
    let locator = Locator::default();
    let limit = 20_000;
    let mut symbolizer = Symbolizer::new(locator.modules().clone(), locator.images().clone(), limit);
    for index in 0..20 {
        let name = format!("a{index}");
        scratch.run(&format!("cc -g -o {name} a.c -DN={index} -Wl,--build-id=0x{index:040x}"));
        let all = functions(&scratch, &name).unwrap();
        let stack: Vec<Location> = all.iter().map(|f| place(&locator, &scratch.path(&name), f.0)).collect();
        symbolizer.resolve(&stack);
        assert!(symbolizer.bytes() <= limit, "{} after {index}", symbolizer.bytes());
    }
}

/// A symbolizer that has named one function of a program, and the function's location.
fn after_one_name(scratch: &Scratch) -> Option<(Symbolizer, Location)> {
    scratch.write("a.c", C);
    scratch.run("cc -g -o a a.c")?;
    let (address, ..) = functions(scratch, "a")?.into_iter().find(|f| f.2 == "leak")?;
    let locator = Locator::default();
    let location = place(&locator, &scratch.path("a"), address);
    let mut symbolizer = symbolizer(&locator);
    let frames = symbolizer.resolve(std::slice::from_ref(&location));
    assert_eq!(frames[0][0].symbol.as_deref(), Some("leak"));
    Some((symbolizer, location))
}

#[test]
fn unused_tables_are_dropped_and_names_stay() {
    let scratch = Scratch::new();
    let Some((mut symbolizer, location)) = after_one_name(&scratch) else { return };
    symbolizer.forget_unused();
    assert_eq!(symbolizer.parsed.len(), 1, "asked for since the last call, which was never");
    assert!(symbolizer.forget_unused());
    assert_eq!(symbolizer.parsed.len(), 0);
    let names = symbolizer.frames.bytes();
    assert_eq!(symbolizer.bytes(), names);
    assert!(!symbolizer.forget_unused(), "nothing is left to drop");
    let frames = symbolizer.resolve(std::slice::from_ref(&location));
    assert_eq!(frames[0][0].symbol.as_deref(), Some("leak"));
    assert_eq!(symbolizer.parsed.len(), 0, "the name is remembered without the file");
    // Another address in the file, which is read again.
    let frames = symbolizer.resolve(&[Location { offset: location.offset + 1, ..location }]);
    assert_eq!((frames[0][0].symbol.as_deref(), symbolizer.parsed.len()), (Some("leak"), 1));
}

#[test]
fn the_size_of_tables_is_what_the_allocator_says() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    if scratch.run("cc -g -o a a.c").is_none() {
        return;
    }
    let locator = Locator::default();
    let mut symbolizer = symbolizer(&locator).with_allocated(allocated_here);
    let places: Vec<Location> =
        functions(&scratch, "a").unwrap().iter().map(|f| place(&locator, &scratch.path("a"), f.0)).collect();
    for place in &places {
        symbolizer.resolve(std::slice::from_ref(place));
    }
    let said = symbolizer.table_bytes();
    assert_eq!(symbolizer.bytes(), said + symbolizer.frames.bytes());
    let before = allocated_here();
    // With the map itself, which the first file allocated.
    drop(std::mem::take(&mut symbolizer.parsed));
    let freed = before - allocated_here();
    assert!(freed > 10_000 && said.abs_diff(freed) < 512, "{said} said, {freed} freed");
}

#[test]
fn a_file_that_was_read_takes_no_resident_memory_when_the_round_is_over() {
    let scratch = Scratch::new();
    let Some((mut symbolizer, location)) = after_one_name(&scratch) else { return };
    symbolizer.settle();
    let name = scratch.path("a").to_str().unwrap().to_owned();
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut lines = smaps.lines().skip_while(|line| !line.ends_with(&name));
    assert!(lines.next().is_some_and(|line| line.contains(" r--s ")), "it stays mapped");
    let resident = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
    assert_eq!(resident.trim(), "0 kB");
    let frames = symbolizer.resolve(&[Location { offset: location.offset + 1, ..location }]);
    assert_eq!(frames[0][0].symbol.as_deref(), Some("leak"), "and is read again where it must be");
}

#[test]
fn damaged_files_never_panic_and_never_name_what_is_not_there() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    if scratch.run("cc -O2 -g -o a a.c").is_none() {
        return;
    }
    let whole = std::fs::read(scratch.path("a")).unwrap();
    let (address, ..) = functions(&scratch, "a").unwrap().into_iter().find(|f| f.2 == "leak").unwrap();
    let locator = Locator::default();
    let good = place(&locator, &scratch.path("a"), address);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..400_u64 {
        let mut file = whole.clone();
        for _ in 0..1 + round % 16 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = usize::try_from(state >> 33).unwrap() % file.len();
            file[at] = [0, 0xff, 0x80, 1][usize::try_from(state >> 20).unwrap() % 4];
        }
        if round % 3 == 0 {
            file.truncate(usize::try_from(state >> 32).unwrap() % file.len());
        }
        let Ok(image) = Image::new(open::memory(&file).unwrap(), "") else { continue };
        let locator = Locator::default();
        let path = "/nowhere".to_owned();
        let kind = ModuleKind::Deleted;
        let module = Module { path, kind, device: 1, inode: 1, size: 1, modified_ns: 1, build_id: None };
        locator.images().keep(module.content().unwrap(), image);
        let location = Location { module: locator.modules().intern(module), ..good.clone() };
        symbolizer(&locator).resolve(&[location]);
    }
}
