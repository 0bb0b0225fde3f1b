//! A process in another root and another pid namespace, with generated code and a perf map inside.

use super::*;
use crate::{
    DEFAULT_CACHE_BYTES, Symbolizer,
    testing::{Running, Scratch, take},
};
use leaktrace_skip::{Lack, skip};
use std::process::Command;

/// Generates `push %rbp; mov %rsp,%rbp; call *%rdi; pop %rbp; ret`, writes it to its perf map, and waits inside it.
const C: &str = r#"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
__attribute__((noinline)) void waits(void) { printf("ready %d\n", getpid()); fflush(stdout); for (;;) pause(); }
__attribute__((noinline)) int leak(void (*f)(void (*)(void))) { f(waits); return 1; }
int main(void) {
  char *m = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(m + 64, code, sizeof code);
  char name[64];
  sprintf(name, "/tmp/perf-%d.map", getpid());
  FILE *f = fopen(name, "w");
  fprintf(f, "%lx 8 py::generated:/srv/app.py\n", (unsigned long) m + 64);
  fclose(f);
  return leak((void (*)(void (*)(void))) (m + 64));
}
"#;

#[test]
fn a_container_keeps_its_names_after_it_is_gone() {
    let scratch = Scratch::new();
    scratch.write("a.c", C);
    std::fs::create_dir_all(scratch.path("root/tmp")).unwrap();
    if scratch.run("cc -O2 -g -static -o root/program a.c").is_none() {
        return;
    }
    // Debug information that only the container has.
    scratch.run("objcopy --only-keep-debug root/program root/program.debug");
    scratch.run("objcopy --strip-all --add-gnu-debuglink=root/program.debug root/program");
    let mut command = Command::new("unshare");
    command.args(["--fork", "--kill-child", "--pid", "chroot"]).arg(scratch.path("root")).arg("/program");
    let allowed = Command::new("unshare").args(["--fork", "--pid", "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        return skip(Lack::Privilege("namespaces cannot be made here"));
    }
    let running = Running::start(&mut command);
    let children = format!("/proc/{0}/task/{0}/children", running.pid());
    let pid: u32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    let mut maps = ProcessMaps::read(pid).unwrap();
    let mut stacks = Stacks::default();
    let placed = stacks.place_copy(&mut maps, &take(pid).copy());
    drop(running);
    drop(scratch);
    let mut symbolizer =
        Symbolizer::new(stacks.locator.modules().clone(), stacks.locator.images().clone(), DEFAULT_CACHE_BYTES);
    let frames: Vec<_> = symbolizer.resolve(&placed.locations).into_iter().flatten().collect();
    let names: Vec<_> = frames.iter().map(|frame| frame.symbol.as_deref().unwrap_or("?")).collect();
    assert!(names.windows(4).any(|names| names == ["waits", "generated", "leak", "main"]), "{names:?}");
    let leak = frames.iter().find(|frame| frame.symbol.as_deref() == Some("leak")).unwrap();
    assert!(leak.module.as_deref().unwrap().ends_with("/program"));
    assert_eq!(leak.line, Some(8));
    let generated = frames.iter().find(|frame| frame.symbol.as_deref() == Some("generated")).unwrap();
    assert_eq!((generated.module.as_deref(), generated.file.as_deref()), (Some("[jit]"), Some("/srv/app.py")));
    assert_eq!(placed.quality, StackQuality::Complete, "{:?} {names:?}", placed.reason);
}
