//! Helper processes that die, hang or are killed: the tracer goes on, in time, and says what happened.
//!
//! Without the usual test harness, because a helper is this program again under another name.
#![allow(clippy::unwrap_used)]

use leaktrace_model::{
    CallsiteStack, ChainEnd, FrameChain, Location, Modules, NewSite, Place, Resolve, StackReason, Unwind,
};
use leaktrace_symbols::{CountingAllocator, HelperOptions, Helpers, serve_if_helper};
use std::{
    fs,
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() {
    serve_if_helper();
    let tests: [(&str, fn()); 8] = [
        ("stacks_are_placed_and_named_by_another_process", stacks_are_placed_and_named_by_another_process),
        ("helpers_have_no_privileges", helpers_have_no_privileges),
        ("a_helper_that_is_killed_is_replaced", a_helper_that_is_killed_is_replaced),
        ("a_helper_that_hangs_is_replaced_in_time", a_helper_that_hangs_is_replaced_in_time),
        ("failures_take_a_limited_time", failures_take_a_limited_time),
        ("a_file_that_shrinks_while_it_is_read_ends_nothing", a_file_that_shrinks_while_it_is_read_ends_nothing),
        ("a_process_with_60_000_mapped_files_is_placed_in_time", a_process_with_60_000_mapped_files_is_placed_in_time),
        ("helpers_end_with_the_tracer", helpers_end_with_the_tracer),
    ];
    let wanted = std::env::args().nth(1).filter(|name| !name.starts_with('-'));
    let chosen = tests.iter().filter(|(name, _)| wanted.as_ref().is_none_or(|wanted| name.contains(wanted.as_str())));
    let mut count = 0;
    for (name, test) in chosen {
        test();
        println!("test {name} ... ok");
        count += 1;
    }
    println!(
        "\ntest result: ok. {count} passed; 0 failed; 0 ignored; 0 measured; {} filtered out",
        tests.len() - count
    );
}

fn helpers() -> Helpers {
    Helpers::start(HelperOptions { unwind: Unwind::Auto, cache_bytes: 8 << 20 }, Modules::default())
}

/// Places and names a function of this program.
fn name_one(helpers: &mut Helpers) -> (Option<StackReason>, Option<String>) {
    let frames = [name_one as *const () as u64];
    let chain = FrameChain { frames: &frames, ended: ChainEnd::AtStart, leaf_return: 0 };
    let stacks = helpers.place_all(std::process::id(), &[NewSite { callsite: 7, chain, copy: None }]);
    assert_eq!((stacks.len(), stacks[0].callsite, stacks[0].locations.len()), (1, 7, 1));
    let named = helpers.resolve(&stacks[0].locations);
    (stacks[0].reason.clone(), named[0].last().unwrap().symbol.clone())
}

fn is_named(helpers: &mut Helpers) -> bool {
    name_one(helpers).1.is_some_and(|symbol| symbol.contains("name_one"))
}

/// This program's children of that name.
fn children(name: &str) -> Vec<i32> {
    let own = std::process::id();
    let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap();
    let pids = children.split_whitespace().map(|pid| pid.parse::<i32>().unwrap());
    let is_named = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).next() == Some(name.as_bytes())
    };
    pids.filter(is_named).collect()
}

fn signal(name: &str, signal: i32) {
    for pid in children(name) {
        // SAFETY: the call takes numbers; the process is this test's child and has not been waited for.
        unsafe { libc::kill(pid, signal) };
        while signal == libc::SIGKILL && runs(pid) {
            std::thread::yield_now();
        }
    }
}

fn runs(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

fn stacks_are_placed_and_named_by_another_process() {
    let mut helpers = helpers();
    assert!(is_named(&mut helpers), "{:?}", name_one(&mut helpers));
    assert_eq!((children("leaktrace-namer").len(), children("leaktrace-fetcher").len()), (1, 1));
    assert_eq!(helpers.health().restarts, 0);
    assert!(helpers.degradations().is_empty());
}

/// Capabilities that a process may use, its user and whether calls are filtered, from `/proc/PID/status`.
fn status(pid: i32) -> (u64, u32, bool, bool) {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().next().unwrap().to_owned()
    };
    let effective = u64::from_str_radix(&field("CapEff:"), 16).unwrap();
    let permitted = u64::from_str_radix(&field("CapPrm:"), 16).unwrap();
    assert_eq!(effective, permitted);
    (effective, field("Uid:").parse().unwrap(), field("Seccomp:") == "2", field("NoNewPrivs:") == "1")
}

fn helpers_have_no_privileges() {
    let mut helpers = helpers();
    assert!(is_named(&mut helpers));
    // CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_CHECKPOINT_RESTORE: linux/capability.h.
    let may = 1 << 19 | 1 << 2 | 1 << 40;
    let namer = children("leaktrace-namer")[0];
    let threads: Vec<_> =
        fs::read_dir(format!("/proc/{namer}/task")).unwrap().map(|task| task.unwrap().path()).collect();
    assert_eq!(threads.len(), 2);
    for thread in threads {
        let text = fs::read_to_string(thread.join("status")).unwrap();
        for line in ["Seccomp:\t2\n", "NoNewPrivs:\t1\n", "CapPrm:\t0000000000000000\n"] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
    let namer = status(namer);
    let fetcher = status(children("leaktrace-fetcher")[0]);
    assert_eq!((namer.0, namer.2, namer.3), (0, true, true));
    assert_eq!((fetcher.0 & !may, fetcher.2, fetcher.3), (0, true, true));
    // SAFETY: the call takes nothing.
    if unsafe { libc::geteuid() } == 0 {
        assert!(namer.1 > 0xfff0_0000 && fetcher.1 > 0xfff0_0000, "{namer:?} {fetcher:?}");
    }
}

fn a_helper_that_is_killed_is_replaced() {
    let mut helpers = helpers();
    assert!(is_named(&mut helpers));
    for round in 1..=20 {
        let name = if round % 2 == 0 { "leaktrace-namer" } else { "leaktrace-fetcher" };
        signal(name, libc::SIGKILL);
        // Names that were found stay. Placing needs the helper, and is asked again of the next one.
        assert!(is_named(&mut helpers), "round {round}");
        assert_eq!(
            name_one(&mut helpers).0.map(|reason| reason == StackReason::NotPlaced),
            Some(false),
            "round {round}"
        );
    }
    let restarts = helpers.health().restarts;
    assert!((20..=40).contains(&restarts), "{restarts}");
    assert!(helpers.health().refused_files.is_empty(), "{:?}", helpers.health());
}

fn a_helper_that_hangs_is_replaced_in_time() {
    for name in ["leaktrace-namer", "leaktrace-fetcher"] {
        let mut helpers = helpers();
        assert!(is_named(&mut helpers));
        signal(name, libc::SIGSTOP);
        let start = Instant::now();
        name_one(&mut helpers);
        assert!(start.elapsed() < Duration::from_secs(5), "{name}: {:?}", start.elapsed());
        assert_eq!(helpers.health().restarts, 1);
    }
}

fn failures_take_a_limited_time() {
    let mut helpers = helpers();
    let start = Instant::now();
    for _ in 0..20 {
        signal("leaktrace-namer", libc::SIGSTOP);
        name_one(&mut helpers);
    }
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    assert_eq!(name_one(&mut helpers).0, Some(StackReason::NotPlaced));
}

/// Maps a page of a file to be executed, and gives the address.
fn map(file: &fs::File, page: i64) -> u64 {
    const PAGE: i64 = 4096;
    let protection = libc::PROT_READ | libc::PROT_EXEC;
    let (file, offset) = (file.as_raw_fd(), page * PAGE);
    // SAFETY: a new private mapping of an open file at an address that the kernel chooses; nothing reads it.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), PAGE as usize, protection, libc::MAP_PRIVATE, file, offset) };
    assert_ne!(at, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
    at.addr() as u64
}

fn place(helpers: &mut Helpers, frames: &[u64]) -> CallsiteStack {
    let chain = FrameChain { frames, ended: ChainEnd::AtStart, leaf_return: 0 };
    helpers.place_all(std::process::id(), &[NewSite { callsite: 7, chain, copy: None }]).remove(0)
}

fn a_file_that_shrinks_while_it_is_read_ends_nothing() {
    let path = std::env::temp_dir().join(format!("leaktrace-shrinks-{}", std::process::id()));
    fs::copy("/proc/self/exe", &path).unwrap();
    let file = fs::File::options().read(true).write(true).open(&path).unwrap();
    let addresses = [map(&file, 0), map(&file, 5), map(&file, 9)];
    let mut helpers = helpers();
    for (round, address) in addresses.into_iter().enumerate() {
        let stack = place(&mut helpers, &[address + 8]);
        let named = helpers.resolve(&stack.locations);
        assert_eq!((stack.locations.len(), named.len()), (1, 1));
        file.set_len([100_000, 64, 0][round]).unwrap();
        let named = helpers.resolve(&[Location { offset: 4096 + round as u64, ..stack.locations[0].clone() }]);
        assert_eq!(named.len(), 1);
    }
    fs::remove_file(&path).unwrap();
    assert!(is_named(&mut helpers), "{:?}", helpers.health());
}

fn a_process_with_60_000_mapped_files_is_placed_in_time() {
    let file = fs::File::open("/proc/self/exe").unwrap();
    // Neighbours with other offsets are mappings of their own.
    let addresses: Vec<u64> = (0..60_000).map(|count| map(&file, count % 7 * 2)).collect();
    let mut helpers = helpers();
    let start = Instant::now();
    let stack = place(&mut helpers, &[addresses[30_000] + 8]);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(stack.locations.len(), 1);
    for address in addresses {
        // SAFETY: unmaps what this test has mapped; nothing refers to it.
        unsafe { libc::munmap(std::ptr::with_exposed_provenance_mut(address as usize), 4096) };
    }
}

fn helpers_end_with_the_tracer() {
    let mut helpers = helpers();
    assert!(is_named(&mut helpers));
    let pids: Vec<i32> = ["leaktrace-namer", "leaktrace-fetcher"].into_iter().flat_map(children).collect();
    drop(helpers);
    let start = Instant::now();
    while pids.iter().any(|pid| runs(*pid)) {
        assert!(start.elapsed() < Duration::from_secs(1), "{pids:?} still run");
        std::thread::sleep(Duration::from_millis(5));
    }
}
