//! A second opinion: what gdb says of the same call, from a run of its own.
//!
//! Addresses differ between runs where they are drawn at random, but never within a page: so frames are distinguished by those
//! twelve bits, and by name where both know one.

use super::report::{Callsite, Frame};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// Stops where the program enters the kernel to connect, and prints every frame.
const SCRIPT: &str = r#"
import gdb
gdb.execute("set pagination off")
gdb.execute("set confirm off")
gdb.execute("set backtrace past-main on")
gdb.execute("set backtrace past-entry on")
gdb.execute("catch syscall connect")
gdb.execute("run < /dev/null > /dev/null")
frame = gdb.newest_frame()
while frame is not None:
    kind = "inlined" if frame.type() == gdb.INLINE_FRAME else "frame"
    print("backtrace", kind, "%x" % frame.pc(), frame.name() or "?")
    frame = frame.older()
gdb.execute("kill")
"#;

/// Bits of an address that are the same in every run.
const WITHIN_PAGE: u64 = 0xfff;

/// A frame as gdb sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GdbFrame {
    /// Where it is, in gdb's run.
    pub address: u64,
    /// Its function, if gdb knows it.
    pub name: Option<String>,
}

/// Why there is no stack to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no gdb.
    Missing,
    /// It shows none; with its last line. It may not trace here, or have no Python.
    Silent(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("gdb is not installed (package gdb)"),
            Self::Silent(word) => write!(f, "gdb shows no stack: {word}"),
        }
    }
}

/// The stack of a program's first connect, without inlined calls; or why there is none.
///
/// # Errors
/// When the script cannot be written.
pub fn backtrace(folder: &Path, program: &Path) -> Result<std::result::Result<Vec<GdbFrame>, Refusal>> {
    let script = folder.join("backtrace.py");
    std::fs::write(&script, SCRIPT).with_context(|| format!("cannot write {}", script.display()))?;
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-x"]).arg(&script).arg("--args").arg(program).env_remove("DEBUGINFOD_URLS");
    let Ok(output) = gdb.output() else { return Ok(Err(Refusal::Missing)) };
    let frames = read(&String::from_utf8_lossy(&output.stdout));
    if frames.is_empty() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        return Ok(Err(Refusal::Silent(words.lines().next_back().unwrap_or_default().to_owned())));
    }
    Ok(Ok(frames))
}

fn read(text: &str) -> Vec<GdbFrame> {
    let frame = |line: &str| {
        let (address, name) = line.strip_prefix("backtrace frame ")?.split_once(' ')?;
        let address = u64::from_str_radix(address, 16).ok()?;
        Some(GdbFrame { address, name: Some(name.to_owned()).filter(|name| name != "?") })
    };
    text.lines().filter_map(frame).collect()
}

/// Where a call site's stack differs from gdb's. Where gdb's ends early, the rest is not checked.
pub fn compare(site: &Callsite, gdb: &[GdbFrame]) -> Vec<String> {
    let ours: Vec<&Frame> = site.stack.iter().filter(|frame| !frame.inlined).collect();
    let mut complaints = Vec::new();
    for (number, (ours, theirs)) in ours.iter().zip(gdb).enumerate() {
        let name = |name: Option<&str>| name.unwrap_or("?").to_owned();
        let both = format!("{} against {}", name(ours.symbol.as_deref()), name(theirs.name.as_deref()));
        if ours.address & WITHIN_PAGE != theirs.address & WITHIN_PAGE {
            if theirs.name.is_none() {
                // Without tables gdb guesses, and here its guess is no function of the program.
                return complaints;
            }
            complaints.push(format!("frame {number} is elsewhere than gdb's: {both}"));
            break;
        }
        if let (Some(our), Some(their)) = (&ours.symbol, &theirs.name)
            && !same(our, their)
        {
            complaints.push(format!("frame {number} has another name than gdb's: {both}"));
        }
    }
    // Above a thread's start gdb may go on into other memory, where no frame has a name.
    if site.stack_quality == "complete"
        && let Some(next) = gdb.get(ours.len()).and_then(|frame| frame.name.as_deref())
    {
        complaints.push(format!("{} frames, gdb has {}: next is {next}", ours.len(), gdb.len()));
    }
    complaints
}

/// Whether two names mean one function. Ignores what demanglers write differently, and knows the C library's aliases.
fn same(ours: &str, theirs: &str) -> bool {
    let (ours, theirs) = (plain(ours), plain(theirs));
    // `<T>::f` and `m::{impl#1}::f` are one: then the ends must agree.
    ours == theirs
        || ours.starts_with("::") && theirs.ends_with(&ours)
        || theirs.starts_with("::") && ours.ends_with(&theirs)
}

/// A name without parameters, type arguments, a compiler's hash and an alias's prefixes.
fn plain(name: &str) -> String {
    let name = name.trim_end_matches(".abi0").replace("{{closure}}", "{closure}").replace("{closure#0}", "{closure}");
    let name = match name.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => &name,
    };
    // Go writes its receivers in brackets, C++ its parameters.
    let end = name.rfind('(').filter(|_| name.ends_with(')')).unwrap_or(name.len());
    let (mut plain, mut depth) = (String::new(), 0_u32);
    let mut before = ' ';
    for character in name[..end].chars().filter(|character| *character != ' ') {
        match character {
            '<' => depth += 1,
            '>' if before != '-' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(character),
            _ => {}
        }
        before = character;
    }
    let bare = plain.trim_start_matches('_').trim_start_matches("GI_").trim_start_matches("libc_");
    bare.trim_start_matches('_').trim_end_matches("_impl").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(frames: &[(u64, Option<&str>)]) -> Callsite {
        let frame = |(address, symbol): &(u64, Option<&str>)| Frame {
            address: *address,
            symbol: symbol.map(str::to_owned),
            inlined: false,
        };
        let stack = frames.iter().map(frame).collect();
        Callsite { stack, stack_quality: "complete".into(), ..Callsite::default() }
    }

    #[test]
    fn a_stack_that_moved_by_whole_pages_is_the_same() {
        let gdb =
            read("noise\nbacktrace frame 555555555123 leak\nbacktrace inlined 1 x\nbacktrace frame 401456 main\n");
        assert_eq!(gdb.len(), 2);
        let main = (0x40_1456, Some("main"));
        assert!(compare(&site(&[(0x7f00_0000_0123, Some("leak")), main]), &gdb).is_empty());
        assert_eq!(compare(&site(&[(0x7f00_0000_0124, Some("leak")), main]), &gdb).len(), 1, "another place");
        assert_eq!(compare(&site(&[(0x7f00_0000_0123, Some("other")), main]), &gdb).len(), 1, "another name");
        assert!(compare(&site(&[(0x7f00_0000_0123, None), main]), &gdb).is_empty(), "no name is not a wrong one");
        assert_eq!(compare(&site(&[(0x7f00_0000_0123, Some("leak"))]), &gdb).len(), 1, "a caller is missing");
    }

    #[test]
    fn where_gdb_guesses_it_is_not_believed() {
        let gdb = read("backtrace frame 555555555123 leak\nbacktrace frame 7ffe00000a44 ?\nbacktrace frame 1 other\n");
        assert!(compare(&site(&[(0x7f00_0000_0123, Some("leak")), (0x40_1456, Some("main"))]), &gdb).is_empty());
        let gdb = read("backtrace frame 555555555123 leak\nbacktrace frame 1 ?\n");
        assert!(compare(&site(&[(0x7f00_0000_0123, Some("leak"))]), &gdb).is_empty(), "above the thread's start");
    }

    #[test]
    fn aliases_and_parameters_are_the_same_function() {
        assert!(same("__libc_connect", "connect"));
        assert!(same("shop::Client::leak()", "shop::Client::leak"));
        assert!(same("main.(*server).run", "main.(*server).run"));
        assert!(!same("main.(*server).run", "main.(*server).stop"));
        assert!(same("<std::net::Tcp>::connect::inner", "std::net::{impl#5}::connect::inner"));
        assert!(same("std::rt::lang_start::{{closure}}", "std::rt::lang_start::{closure#0}<()>"));
        assert!(same("a::call_mut", "a::call_mut<fn(&S) -> R<T, E>, (&S)>"));
        assert!(same("leak::main", "leak::main::h68d97aefc12db3cb"));
        assert!(!same("<std::net::Tcp>::connect", "std::net::{impl#5}::accept"));
        assert!(!same("leak_from_c", "handle_request"));
    }
}
