//! The same program built with other flags: how many call sites are found again.

use super::{super::name::normal, *};
use leaktrace_model::{Frame, Sums};

/// A random number generator with the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// What another set of flags does to a function.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Kept,
    /// Put into its callers, and known to the debug information.
    Inlined,
    /// Put into its callers, or left by a tail call: it is not on the stack.
    Dropped,
    /// Specialized under another name.
    Cloned,
}

const MODULES: [&str; 6] = ["pool", "upstream", "auth", "cache", "queue", "search"];

/// Call sites of a made-up program: a tree of calls from `main` to functions that connect or accept.
fn program(seed: u64, sites: usize) -> Snapshot {
    let mut dice = Dice(seed);
    let layers = [3, 8, 25, 60, 120];
    let name = |layer: usize, index: usize| format!("svc::{}::step{layer}_{index}", MODULES[index % MODULES.len()]);
    let mut snapshot = fixtures::empty();
    for id in 0..sites {
        // Callers of a function are few, as in real programs: the layer above at half its index, or its neighbour.
        let depth = 2 + dice.below(layers.len() - 1);
        let mut stack = vec![fixtures::library_frame("connect"), frame("std::net::TcpStream::connect", 1)];
        let mut index = dice.below(layers[depth - 1]);
        for layer in (0..depth).rev() {
            stack.push(frame(&name(layer, index % layers[layer]), 10 + index as u32));
            index = index / 2 + dice.below(2);
        }
        stack.extend([frame("svc::run", 1), frame("svc::main", 2), fixtures::library_frame("__libc_start_main")]);
        snapshot.callsites.push(Callsite {
            id: id as u64,
            direction: if id % 3 == 0 { Direction::Accept } else { Direction::Connect },
            comm: "svc".into(),
            exe: Some("/usr/bin/svc".into()),
            stack,
            sums: Sums { open: 20, ..Sums::default() },
            ..Callsite::default()
        });
    }
    snapshot
}

fn frame(symbol: &str, line: u32) -> Frame {
    Frame { module: Some("/usr/bin/svc".into()), ..fixtures::frame(symbol, "svc.rs", line) }
}

/// The same call sites after a build that changed `percent` of the functions.
fn rebuilt(old: &Snapshot, seed: u64, percent: u64, debug_information: bool) -> Snapshot {
    let fate = |symbol: &str| {
        let hash = symbol.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        match (hash >> 20) % 100 {
            roll if roll >= percent => Fate::Kept,
            roll if roll % 4 == 0 => Fate::Cloned,
            _ if debug_information => Fate::Inlined,
            _ => Fate::Dropped,
        }
    };
    let mut new = old.clone();
    for site in &mut new.callsites {
        site.id += 10_000;
        site.exe = Some("/opt/svc-2/bin/svc".into());
        site.stack.retain_mut(|frame| {
            frame.address = frame.address.wrapping_mul(7);
            frame.offset = Some(9);
            frame.line = frame.line.map(|line| line + 1);
            let symbol = frame.symbol.clone().unwrap();
            if !symbol.starts_with("svc::") {
                return true;
            }
            match fate(&symbol) {
                Fate::Kept => frame.symbol = Some(format!("{symbol}::h0123456789abcdef")),
                Fate::Inlined => frame.inlined = true,
                Fate::Cloned => frame.symbol = Some(format!("{symbol}.llvm.77.constprop.0")),
                Fate::Dropped => return false,
            }
            true
        });
    }
    new
}

/// Shares of old call sites that are grouped with themselves, and of groups that hold nothing else.
fn found_again(old: &Snapshot, new: &Snapshot) -> (f64, f64) {
    let diff = compare(old, new);
    let (mut found, mut strangers, mut members) = (0, 0, 0);
    let names = |snapshot: &Snapshot, id: u64| -> Vec<String> {
        let site = snapshot.callsites.iter().find(|site| site.id == id).unwrap();
        site.stack.iter().map(|frame| normal(frame.symbol.as_deref().unwrap())).collect()
    };
    for change in &diff.changes {
        let ids = |side: &Option<Numbers>| side.as_ref().map(|side| side.ids.clone()).unwrap_or_default();
        let (before, after) = (ids(&change.old), ids(&change.new));
        for id in &before {
            members += 1;
            found += usize::from(after.contains(&(id + 10_000)));
        }
        // Call sites that became one in the new build belong together.
        for id in &after {
            let own = before.contains(&(id - 10_000));
            let folded = after.iter().any(|other| {
                other != id && before.contains(&(other - 10_000)) && names(new, *other) == names(new, *id)
            });
            strangers += usize::from(!own && !folded && !before.is_empty());
        }
    }
    (found as f64 / members as f64, 1.0 - strangers as f64 / members as f64)
}

#[test]
fn at_least_95_percent_of_call_sites_survive_other_optimization_flags() {
    for (percent, debug_information) in [(0, true), (30, true), (60, true), (20, false), (40, false), (60, false)] {
        let (mut found, mut clean, mut runs) = (0.0, 0.0, 0.0);
        for seed in 1..=4 {
            let old = program(seed * 7_919, 150);
            let new = rebuilt(&old, seed, percent, debug_information);
            let (one, two) = found_again(&old, &new);
            (found, clean, runs) = (found + one, clean + two, runs + 1.0);
        }
        let (found, clean) = (found / runs, clean / runs);
        println!("{percent} % changed, debug information {debug_information}: {found:.3} found, {clean:.3} alone");
        assert!(found >= 0.95, "{percent} {debug_information}: {found:.3}");
        assert!(clean >= 0.90, "{percent} {debug_information}: {clean:.3}");
    }
}

#[test]
fn a_call_site_that_is_really_new_is_not_taken_for_an_old_one() {
    let old = program(42, 60);
    let mut new = rebuilt(&old, 3, 0, true);
    let mut added = new.callsites[0].clone();
    added.id = 77_777;
    added.stack[2].symbol = Some("svc::metrics::push".into());
    added.stack[3].symbol = Some("svc::metrics::tick".into());
    new.callsites.push(added);
    let diff = compare(&old, &new);
    let fresh: Vec<_> = diff.changes.iter().filter(|change| change.kind == ChangeKind::New).collect();
    assert_eq!(fresh.len(), 1);
    assert_eq!(fresh[0].new.as_ref().unwrap().ids, [77_777]);
}

#[test]
fn a_rename_of_the_process_or_of_the_executable_alone_is_survived() {
    let old = program(5, 30);
    let mut new = old.clone();
    for site in &mut new.callsites {
        site.comm = "svc-worker-3".into();
    }
    assert_eq!(compare(&old, &new).count(ChangeKind::Same), compare(&old, &old).count(ChangeKind::Same));
    for site in &mut new.callsites {
        (site.comm, site.exe) = ("svc".into(), None);
    }
    assert_eq!(compare(&old, &new).count(ChangeKind::Same), compare(&old, &old).count(ChangeKind::Same));
}
