//! Functions of interpreted programs whose runtimes write a perf map: CPython and Node.
//!
//! Uses the Pythons in `PATH` and those in `LEAKTRACE_TEST_PYTHONS` (separated by colons).

use super::*;
use crate::{
    DEFAULT_CACHE_BYTES, Symbolizer,
    testing::{Running, Scratch, take},
};
use leaktrace_model::Frame;
use leaktrace_skip::{Lack, skip};
use std::process::{Command, Stdio};

fn frames(running: &Running) -> (PlacedStack, Vec<Frame>) {
    let mut maps = ProcessMaps::read(running.pid()).unwrap();
    let mut stacks = Stacks::default();
    let placed = stacks.place_copy(&mut maps, &take(running.pid()).copy());
    let mut symbolizer =
        Symbolizer::new(stacks.locator.modules().clone(), stacks.locator.images().clone(), DEFAULT_CACHE_BYTES);
    let frames = symbolizer.resolve(&placed.locations).into_iter().flatten().collect();
    (placed, frames)
}

fn assert_names(frames: &[Frame], placed: &PlacedStack, wanted: &[&str], file: &str, what: &str) {
    let own: Vec<&str> = frames
        .iter()
        .filter(|frame| frame.file.as_deref().is_some_and(|path| path.ends_with(file)))
        .filter_map(|frame| frame.symbol.as_deref())
        .collect();
    let text: Vec<_> = frames.iter().map(|frame| frame.symbol.as_deref().unwrap_or("?")).collect();
    assert_eq!(own, wanted, "{what}: {:?} {text:?}", placed.reason);
    assert_eq!(placed.quality, StackQuality::Complete, "{what}: {:?} {text:?}", placed.reason);
}

#[test]
fn python_functions_have_names_under_x_perf() {
    let scratch = Scratch::new();
    let script = scratch.write(
        "app.py",
        "import socket\ndef leak(s):\n    print('ready', flush=True)\n    return s.accept()\n\
         def deeper(s, n):\n    return deeper(s, n - 1) if n else leak(s)\n\
         s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); deeper(s, 2)\n",
    );
    let more = std::env::var("LEAKTRACE_TEST_PYTHONS").unwrap_or_default();
    let pythons = ["python3", "python3.12", "python3.13", "python3.14"].into_iter().chain(more.split(':'));
    let mut tried = 0;
    for python in pythons.filter(|python| !python.is_empty()) {
        let check = "import sys; sys.exit(not getattr(sys, 'is_stack_trampoline_active', lambda: False)())";
        let supported = Command::new(python).args(["-X", "perf", "-c", check]).stderr(Stdio::null()).status();
        if !supported.is_ok_and(|status| status.success()) {
            continue;
        }
        tried += 1;
        let running = Running::start(Command::new(python).args(["-X", "perf"]).arg(&script));
        let map = format!("/tmp/perf-{}.map", running.pid());
        let (placed, frames) = frames(&running);
        let _ = std::fs::remove_file(map);
        assert_names(&frames, &placed, &["leak", "deeper", "deeper", "deeper", "<module>"], "app.py", python);
    }
    if tried == 0 {
        skip(Lack::Machine("no CPython here has -X perf (3.12 and later do)"));
    }
}

#[test]
fn node_functions_have_names_under_perf_basic_prof() {
    let scratch = Scratch::new();
    let script = scratch.write(
        "app.js",
        "const fs = require('fs');\nfunction leak(n) {\n  console.log('ready');\n  return fs.readSync(0, Buffer.alloc(n));\n}\n\
         function deeper(n) { return n ? deeper(n - 1) : leak(8); }\ndeeper(2);\n",
    );
    // Node waits in a read of this pipe, which stays open.
    let sleep = Command::new("sleep").arg("60").stdout(Stdio::piped()).spawn();
    let Ok(mut sleep) = sleep else { return skip(Lack::Program("sleep")) };
    let mut command = Command::new("node");
    // In the scratch directory, because Node writes a log into its working directory.
    command.args(["--perf-basic-prof", "--interpreted-frames-native-stack"]).arg(&script).current_dir(&scratch.0);
    if Command::new("node").arg("--version").stdout(Stdio::null()).status().is_err() {
        let _ = sleep.kill();
        let _ = sleep.wait();
        return skip(Lack::Program("node"));
    }
    let running = Running::start_reading(&mut command, sleep.stdout.take().unwrap().into());
    let map = format!("/tmp/perf-{}.map", running.pid());
    let (placed, frames) = frames(&running);
    let _ = std::fs::remove_file(map);
    let _ = sleep.kill();
    let _ = sleep.wait();
    let wanted = ["leak", "deeper", "deeper", "deeper", "(anonymous)"];
    assert_names(&frames, &placed, &wanted, "app.js", "node");
    let leak = frames.iter().find(|frame| frame.symbol.as_deref() == Some("leak")).unwrap();
    assert_eq!(leak.line, Some(2));
}
