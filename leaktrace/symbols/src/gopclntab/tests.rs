//! Compares the tables of freshly built Go programs with the stack that their own runtime prints.
//!
//! Uses the `go` in `PATH` and each GOROOT in `LEAKTRACE_TEST_GOROOTS` (separated by colons).

use super::function::Function;
use super::*;
use crate::{
    DEFAULT_CACHE_BYTES, Locator, ProcessMaps, Symbolizer,
    elf::Segment,
    image::Image,
    open,
    stacks::Stacks,
    testing::{Running, Scratch, frame_pointer_walk, take},
    trust::Trust,
    unwind::{Ended, Unwinder},
};
use leaktrace_model::StackQuality;
use leaktrace_skip::{Lack, skip};
use proptest::prelude::*;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const GO: &str = r#"package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

type pool struct{ n int }

func report() {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		fmt.Println(f.Function, f.File, f.Line)
		if !more {
			break
		}
	}
	fmt.Println("end")
}

//go:noinline
func waits(n int) { report(); wait(n) }

func (p *pool) merged(n int) { waits(n); p.n++ }

func outer[T any](p *pool, t T) { twice(p); fmt.Fprintln(os.Stderr, t) }

func twice(p *pool) {
	if p.n > 2 {
		p.merged(p.n)
	}
	p.merged(p.n)
}

//go:noinline
func leak(p *pool) {
	big := make([]byte, p.n*16)
	outer(p, len(big))
}

func deeper(n int) {
	if n == 0 {
		func() { leak(&pool{n: 1}) }()
		return
	}
	deeper(n - 1)
}

func main() {
	runtime.LockOSThread()
	deeper(3)
}
"#;

const PLAIN: &str =
    "package main\n\nimport \"syscall\"\n\nfunc wait(n int) { syscall.Pause() }\n\nvar _ = syscall.Pause\n";

const CGO: &str = "package main\n\n// #include <unistd.h>\n// static int one(void) { return 1; }\nimport \"C\"\nimport \"syscall\"\n\n\
                   func wait(n int) { if C.one() == 1 { syscall.Pause() } }\n";

fn gos() -> Vec<String> {
    let more = std::env::var("LEAKTRACE_TEST_GOROOTS").unwrap_or_default();
    let roots = more.split(':').filter(|root| !root.is_empty()).map(|root| format!("{root}/bin/go"));
    ["go".to_owned()].into_iter().chain(roots).collect()
}

fn build(scratch: &Scratch, go: &str, wait: &str, flags: &[&str]) -> Option<PathBuf> {
    scratch.write("src/main.go", &GO.replace("\t\"syscall\"\n", ""));
    scratch.write("src/wait.go", wait);
    let mut command = Command::new(go);
    command.arg("build").args(flags).args(["-o", "../program", "main.go", "wait.go"]).current_dir(scratch.path("src"));
    command.env("GO111MODULE", "off").env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "1").env_remove("GOROOT");
    let cache = format!("leaktrace-go-{}", go.replace('/', "-"));
    let output = command.env("GOCACHE", std::env::temp_dir().join(cache)).output();
    let Ok(output) = output else {
        skip(Lack::Program(go));
        return None;
    };
    assert!(output.status.success(), "{go} {flags:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(scratch.path("program"))
}

/// Starts the program and waits until it pauses. Returns it with the stack that its runtime printed.
fn start(program: &PathBuf) -> (Running, Vec<String>) {
    let mut child = Command::new(program).stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    // Before 1.21 the runtime printed the compiler's type arguments of a generic function.
    let plain = |line: String| line.replace("[go.shape.int_0]", "[...]");
    let said: Vec<String> = lines.take_while(|line| line != "end").map(plain).collect();
    let running = Running(child);
    let waits = || {
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", running.pid())).unwrap_or_default();
        call.starts_with(&format!("{} ", libc::SYS_pause))
    };
    while !waits() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    (running, said)
}

/// The stack as this crate names it, in the runtime's form, starting at `main.waits`.
fn seen(running: &Running) -> (Vec<String>, Ended) {
    let mut maps = ProcessMaps::read(running.pid()).unwrap();
    let mut locator = Locator::default();
    let walk = Unwinder::default().walk_copy(&mut locator, &mut maps, &take(running.pid()).copy());
    let stack = locator.locate_stack(&mut maps, &walk.addresses);
    let mut symbolizer = Symbolizer::new(locator.modules().clone(), locator.images().clone(), DEFAULT_CACHE_BYTES);
    let frames = symbolizer.resolve(&stack).into_iter().flatten();
    let text = |frame: leaktrace_model::Frame| {
        let line = frame.line.map_or(String::new(), |line| line.to_string());
        format!("{} {} {line}", frame.symbol.unwrap_or_default(), frame.file.unwrap_or_default())
    };
    (frames.map(text).skip_while(|frame| !frame.starts_with("main.waits ")).collect(), walk.ended)
}

fn check(wait: &str, variants: &[&[&str]]) {
    for go in gos() {
        for flags in variants {
            let scratch = Scratch::new();
            let Some(program) = build(&scratch, &go, wait, flags) else { break };
            let (running, said) = start(&program);
            let (seen, ended) = seen(&running);
            assert_eq!(seen, said, "{go} {flags:?} {ended:?}");
            assert!(said.len() >= 12, "{go} {flags:?}: {said:?}");
            assert_eq!(ended, Ended::AtStart, "{go} {flags:?}");
        }
    }
}

#[test]
fn plain_and_stripped_programs_agree_with_their_runtime() {
    check(PLAIN, &[&[], &["-ldflags=-s -w"], &["-trimpath", "-ldflags=-s -w"], &["-gcflags=all=-l"]]);
}

#[test]
fn position_independent_programs_agree_with_their_runtime() {
    check(PLAIN, &[&["-buildmode=pie"], &["-buildmode=pie", "-ldflags=-s -w"]]);
}

#[test]
fn programs_with_c_agree_with_their_runtime() {
    check(CGO, &[&["-ldflags=-s -w"], &["-buildmode=pie", "-ldflags=-s -w"], &["-ldflags=-s -w -linkmode=external"]]);
}

#[test]
fn a_walk_by_frame_pointers_is_whole() {
    let scratch = Scratch::new();
    let Some(program) = build(&scratch, "go", PLAIN, &["-ldflags=-s -w"]) else { return };
    let (running, said) = start(&program);
    let mut maps = ProcessMaps::read(running.pid()).unwrap();
    let mut stacks = Stacks::default();
    assert_eq!(stacks.trust(&mut maps), Trust::Everywhere);
    let placed = stacks.place_chain(&mut maps, &frame_pointer_walk(running.pid()).chain());
    let by_table = stacks.place_copy(&mut maps, &take(running.pid()).copy());
    assert_eq!(placed.locations, by_table.locations);
    assert_eq!(placed.quality, StackQuality::Complete, "{:?} {said:?}", placed.reason);
}

#[test]
fn tables_without_a_name_are_found() {
    let scratch = Scratch::new();
    for flags in [&["-ldflags=-s -w"][..], &["-buildmode=pie", "-ldflags=-s -w"]] {
        let Some(program) = build(&scratch, "go", PLAIN, flags) else { return };
        let mut file = std::fs::read(&program).unwrap();
        let elf = Elf::read(&Bytes::of_memory(file.clone())).unwrap();
        let named = GoTable::find(&Bytes::of_memory(file.clone()), &elf).unwrap();
        // Removes the section headers.
        file[40..48].fill(0);
        file[60..64].fill(0);
        let bytes = Bytes::of_memory(file);
        let elf = Elf::read(&bytes).unwrap();
        assert!(elf.sections.is_empty());
        let found = GoTable::find(&bytes, &elf);
        // Position-independent files need relocations, which cannot be found without sections.
        let Some(found) = found else { continue };
        assert_eq!((found.text, found.function_data), (named.text, named.function_data), "{flags:?}");
    }
}

#[test]
fn a_program_that_is_not_from_go_has_no_tables() {
    let image = Image::new(open::regular(std::path::Path::new("/proc/self/exe")).unwrap(), "").unwrap();
    assert_eq!(image.go(), None);
}

#[test]
fn damaged_tables_never_panic_and_never_name_what_the_whole_ones_do_not() {
    let scratch = Scratch::new();
    let Some(program) = build(&scratch, "go", PLAIN, &["-ldflags=-s -w"]) else { return };
    let whole = std::fs::read(program).unwrap();
    let bytes = Bytes::of_memory(whole.clone());
    let elf = Elf::read(&bytes).unwrap();
    let table = GoTable::find(&bytes, &elf).unwrap();
    let entries: Vec<u64> = (0..table.functions).step_by(97).filter_map(|number| table.entry(&bytes, number)).collect();
    assert!(entries.iter().all(|entry| table.place(&bytes, *entry).is_some()));
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for round in 0..60 {
        let mut file = whole.clone();
        let len = table.span.end - table.span.start;
        for _ in 0..1 + round * 3 {
            // Every other round damages the header, which everything else depends on.
            let at = table.span.start + if round % 2 == 0 { random(72) } else { random(len) };
            file[usize::try_from(at).unwrap()] = random(256).to_le_bytes()[0];
        }
        if round % 5 == 0 {
            file.truncate(usize::try_from(table.span.start + random(len)).unwrap());
        }
        let bytes = Bytes::of_memory(file);
        let Some(damaged) = GoTable::find(&bytes, &elf) else { continue };
        for entry in &entries {
            let _ = damaged.place(&bytes, entry + random(64));
            let _ = damaged.frame_size(&bytes, entry + random(64));
            let _ = damaged.is_root(&bytes, *entry);
        }
    }
}

#[test]
fn the_layout_of_1_16_is_read() {
    // Two functions, 0x1000 to 0x1040 and 0x1040 to 0x1080. Written by hand, because no compiler that old was available.
    let mut table = vec![0xfa, 0xff, 0xff, 0xff, 0, 0, 1, 8];
    let names = b"main.a\0main.b\0";
    let (names_at, units_at) = (64_u64, 64 + 16_u64);
    let (files_at, values_at, functions_at) = (units_at + 8, units_at + 16, units_at + 32);
    for word in [2, 1, names_at, units_at, files_at, values_at, functions_at] {
        table.extend(u64::to_le_bytes(word));
    }
    table.extend(names);
    table.resize(80, 0);
    table.extend([0, 0, 0, 0, 0, 0, 0, 0]);
    table.extend(b"/a.go\0\0\0");
    // At 1: value 0 for 0x40 bytes. At 4: value 7 for 0x10 bytes, then 9 for 0x30.
    table.extend([0, 2, 0x40, 0, 16, 0x10, 4, 0x30, 0, 0, 0, 0, 0, 0, 0, 0]);
    let record = |number: u64| 48 + 48 * number;
    for (entry, record) in [(0x1000, record(0)), (0x1040, record(1)), (0x1080, 0)] {
        table.extend(u64::to_le_bytes(entry));
        table.extend(u64::to_le_bytes(record));
    }
    for (entry, name) in [(0x1000_u64, 0_u32), (0x1040, 7)] {
        table.extend(entry.to_le_bytes());
        for field in [name, 0, 0, 1, 1, 4, 0, 0, 0] {
            table.extend(field.to_le_bytes());
        }
        table.extend([0; 4]);
    }
    let bytes = Bytes::of_memory(table.clone());
    let table = GoTable::read_header(&bytes, 0..table.len() as u64).unwrap();
    let named = |name: &str, line| Named { name: name.into(), file: Some("/a.go".into()), line: Some(line) };
    assert_eq!(table.place(&bytes, 0x1000).unwrap().functions, [named("main.a", 7)]);
    assert_eq!(table.place(&bytes, 0x1050).unwrap().functions, [named("main.b", 9)]);
    assert_eq!(table.frame_size(&bytes, 0x1050), Some(0));
    assert_eq!(table.place(&bytes, 0x1080), None);
    assert_eq!(table.place(&bytes, 0xfff), None);
}

/// A table with one function, at the start of a file.
fn by_hand(len: u64) -> GoTable {
    GoTable {
        layout: Layout::Go120,
        span: 0..len,
        pointer: 8,
        quantum: 1,
        functions: 1,
        text: 0x1000,
        names: 0,
        units: 16,
        files: 24,
        values: 32,
        table: 32,
        function_data: None,
    }
}

#[test]
fn the_search_for_the_modules_data_ends_with_what_is_left_for_the_file() {
    let segment = Segment { offset: 0, vaddr: 0x1000, filesz: 4 << 20, executable: false, writable: true };
    let elf = Elf { segments: vec![segment; 8], ..Elf::default() };
    let bytes = Bytes::of_memory(vec![0; 4 << 20]);
    let mut left = 5 << 19;
    assert!(module_data::find(&bytes, &elf, &by_hand(64), &mut left).is_none());
    assert_eq!(left, 1 << 19);
}

#[test]
fn tables_of_values_that_lead_nowhere_end_with_the_steps_for_a_place() {
    // A name at 0, the offset of the table of inlined calls at 24, and from 34 on changes of the value over zero bytes of code.
    let mut content = vec![0; 34];
    content[..6].copy_from_slice(b"main.f");
    content[24] = 2;
    content.extend([2, 0].repeat(2 * MAX_STEPS));
    let table = by_hand(content.len() as u64);
    let bytes = Bytes::of_memory(content);
    let function =
        Function { entry: 0x1000, end: 0x2000, name: 0, stack: 2, file: 2, line: 2, unit: 0, tables: (16, 3), data: 6 };
    let mut steps = MAX_STEPS;
    assert!(table.inlined(&bytes, &function, 0x1000, &mut steps).is_none(), "that is not the end of them");
    assert_eq!(steps, 0);
    assert_eq!(table.value(&bytes, &function, function.line, 0x1000, &mut steps), None);
    let name = Named { name: "main.f".into(), file: None, line: None };
    assert_eq!(table.named(&bytes, &function, 0x1000), Some(vec![name]));
}

proptest! {
    #[test]
    fn any_bytes_behind_a_header_are_read_without_panic(
        magic in prop_oneof![Just(0xffff_fffa_u32), Just(0xffff_fff0), Just(0xffff_fff1)],
        functions in 0_u64..12,
        steps in proptest::collection::vec(0_u64..96, 5),
        mut tail in proptest::collection::vec(prop_oneof![Just(0_u8), any::<u8>(), 0_u8..4], 0..900),
        cut in 0_usize..1000,
    ) {
        let words = if magic == 0xffff_fffa { 7 } else { 8 };
        let mut table = magic.to_le_bytes().to_vec();
        table.extend([0, 0, 1, 8]);
        table.extend([functions, 1].map(u64::to_le_bytes).concat());
        if words == 8 {
            table.extend(0x1000_u64.to_le_bytes());
        }
        // The parts in the linker's order; otherwise the header would be refused.
        let mut at = 8 + 8 * words;
        for step in steps {
            table.extend(u64::to_le_bytes(at));
            at += step;
        }
        table.append(&mut tail);
        table.truncate(cut);
        let bytes = Bytes::of_memory(table.clone());
        if let Some(table) = GoTable::read_header(&bytes, 0..table.len() as u64) {
            let entries = table.sample(&bytes, 16);
            for vaddr in entries.into_iter().flat_map(|entry| [entry, entry.wrapping_add(1)]).chain([0, 0x1000, u64::MAX]) {
                let _ = (table.place(&bytes, vaddr), table.frame_size(&bytes, vaddr), table.is_root(&bytes, vaddr));
            }
        }
    }
}
