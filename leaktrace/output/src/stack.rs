//! Stacks as people read them: names of frames, which frames are the application's own, one line for a stack.
//!
//! Works on resolved frames only; it never looks at a process or an ELF file.

use super::clean;
use crate::units::Glyphs;
use leaktrace_model::snapshot::{Callsite, Frame, NOT_SAMPLED};

/// What stands for a stack that is not known.
pub const NO_STACK: &str = "[no stack]";

/// What stands for stacks that were left out on purpose.
const LEFT_OUT: &str = "[stack not sampled]";

/// What stands for the stack of a call site that has none.
pub fn stand_in(callsite: &Callsite) -> &'static str {
    match &callsite.stack_reason {
        Some(reason) if reason.starts_with(NOT_SAMPLED) => LEFT_OUT,
        _ => NO_STACK,
    }
}

/// The last part of a path.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path)
}

/// A frame's name: the function without the compiler's hash, else `module+0x1f`, else the address. Clean.
pub fn frame_name(frame: &Frame) -> String {
    match (&frame.symbol, &frame.module) {
        (Some(symbol), _) if !symbol.is_empty() => clean(without_hash(symbol)).into_owned(),
        (_, Some(module)) => {
            format!("{}+{:#x}", clean(base_name(module)), frame.offset.unwrap_or(frame.address))
        }
        _ => format!("{:#x}", frame.address),
    }
}

/// A frame with where it is in the source: `api::fetch (fetch.rs:42)`. Clean.
pub fn frame_with_place(frame: &Frame) -> String {
    let name = frame_name(frame);
    match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{name} ({}:{line})", clean(base_name(file))),
        (Some(file), None) => format!("{name} ({})", clean(base_name(file))),
        _ => name,
    }
}

/// Rust's legacy mangling ends in `::h` and 16 digits that change with every build.
pub(crate) fn without_hash(symbol: &str) -> &str {
    match symbol.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => symbol,
    }
}

/// Whether a frame belongs to a language's runtime or its network library, which every call site shares.
pub fn is_plumbing(frame: &Frame) -> bool {
    const MODULES: [&str; 12] = [
        "libc.so",
        "libc-",
        "libc.musl",
        "ld-linux",
        "ld-musl",
        "ld-2",
        "libpthread",
        "libstdc++",
        "libgcc_s",
        "libuv.so",
        "libjvm.so",
        "[vdso]",
    ];
    const PREFIXES: [&str; 35] = [
        "std::",
        "core::",
        "alloc::",
        "tokio::",
        "mio::",
        "socket2::",
        "hyper::",
        "hyper_util::",
        "futures_util::",
        "futures_core::",
        "async_io::",
        "boost::asio::",
        "runtime.",
        "syscall.",
        "internal/",
        "net.",
        "net/http.",
        "crypto/tls.",
        "golang.org/x/net/",
        "java.net.",
        "java.nio.",
        "java.lang.",
        "java.util.",
        "sun.nio.",
        "sun.net.",
        "jdk.internal.",
        "node::",
        "v8::",
        "uv_",
        "uv__",
        "_PyEval_",
        "_PyObject_",
        "_PyFunction_",
        "PyObject_",
        "Py_",
    ];
    const NAMES: [&str; 16] = [
        "_start",
        "__libc_start_main",
        "__libc_start_call_main",
        "start_thread",
        "clone",
        "clone3",
        "__clone",
        "__clone3",
        "connect",
        "__connect",
        "__libc_connect",
        "accept",
        "accept4",
        "__libc_accept",
        "__libc_accept4",
        "rust_begin_unwind",
    ];
    if frame.module.as_deref().is_some_and(|module| {
        let file = base_name(module);
        MODULES.iter().any(|known| file.starts_with(known))
    }) {
        return true;
    }
    let Some(symbol) = frame.symbol.as_deref() else { return true };
    // `<std::net::TcpStream as Connect>::connect` belongs to its type.
    let symbol = symbol.trim_start_matches(['<', '&']);
    NAMES.contains(&symbol)
        || symbol.starts_with("__rust_")
        || symbol.starts_with("std.") && symbol.contains("::")
        || PREFIXES.iter().any(|prefix| symbol.starts_with(prefix))
}

/// The frames worth a person's first look, leaf first: the application's own, else all that have a name, else all.
pub fn telling_frames(stack: &[Frame]) -> Vec<&Frame> {
    let own: Vec<_> = stack.iter().filter(|frame| !is_plumbing(frame)).collect();
    if !own.is_empty() {
        return own;
    }
    let named: Vec<_> = stack.iter().filter(|frame| frame.symbol.is_some()).collect();
    if named.is_empty() { stack.iter().collect() } else { named }
}

/// A call site in a few words, leaf first: `fetch_user ← handle ← main`. As many callers as fit into `width` columns;
/// a name that is too long alone loses its beginning, because paths end in what tells them apart. Clean.
pub fn short_name(callsite: &Callsite, width: usize, glyphs: Glyphs) -> String {
    let frames = telling_frames(&callsite.stack);
    let arrow = arrow(glyphs);
    let mut line = String::new();
    for frame in frames.iter().take(4) {
        let name = frame_name(frame);
        if line.is_empty() {
            line = super::layout::fit_end(&name, width, glyphs);
        } else if super::layout::width(&line) + super::layout::width(arrow) + super::layout::width(&name) <= width {
            line.push_str(arrow);
            line.push_str(&name);
        } else {
            break;
        }
    }
    if line.is_empty() { stand_in(callsite).to_owned() } else { line }
}

/// What stands between a function and its caller.
pub fn arrow(glyphs: Glyphs) -> &'static str {
    match glyphs {
        Glyphs::Unicode => " ← ",
        Glyphs::Ascii => " < ",
    }
}

/// The stack as flame graph tools take it, root first: process name, then functions. Clean, and free of `;`.
pub fn folded_path(callsite: &Callsite) -> Vec<String> {
    let comm = if callsite.comm.is_empty() { "[unknown process]" } else { &callsite.comm };
    let mut path = vec![unfold(&clean(comm))];
    if callsite.stack.is_empty() {
        path.push(stand_in(callsite).to_owned());
    }
    path.extend(callsite.stack.iter().rev().map(|frame| unfold(&frame_name(frame))));
    path
}

/// `;` separates frames in folded stacks and has no escape there.
fn unfold(name: &str) -> String {
    name.replace(';', ":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(symbol: &str) -> Frame {
        Frame { symbol: Some(symbol.to_owned()), module: Some("/opt/api".to_owned()), ..Frame::default() }
    }

    fn site(symbols: &[&str]) -> Callsite {
        Callsite { stack: symbols.iter().map(|symbol| named(symbol)).collect(), ..Callsite::default() }
    }

    #[test]
    fn the_hash_of_a_rust_build_is_not_part_of_a_name() {
        assert_eq!(frame_name(&named("api::fetch::h0123456789abcdef")), "api::fetch");
        assert_eq!(frame_name(&named("api::height::h2")), "api::height::h2");
    }

    #[test]
    fn a_frame_without_a_function_reads_as_module_and_offset_and_then_as_address() {
        let mut frame = Frame { address: 0x7f01, module: Some("/usr/lib/libx.so".into()), ..Frame::default() };
        assert_eq!(frame_name(&frame), "libx.so+0x7f01");
        frame.offset = Some(0x1f);
        assert_eq!(frame_name(&frame), "libx.so+0x1f");
        frame.module = None;
        assert_eq!(frame_name(&frame), "0x7f01");
    }

    #[test]
    fn a_short_name_begins_at_the_applications_own_code() {
        let site = site(&["connect", "std::net::TcpStream::connect", "<std::x as Y>::z", "api::fetch", "api::main"]);
        assert_eq!(short_name(&site, 60, Glyphs::Unicode), "api::fetch ← api::main");
        assert_eq!(short_name(&site, 60, Glyphs::Ascii), "api::fetch < api::main");
        assert_eq!(short_name(&site, 12, Glyphs::Unicode), "api::fetch");
        assert_eq!(short_name(&site, 6, Glyphs::Unicode), "…fetch");
    }

    #[test]
    fn runtimes_alone_are_better_than_nothing() {
        assert_eq!(short_name(&site(&["connect", "_start"]), 60, Glyphs::Unicode), "connect ← _start");
        assert_eq!(short_name(&site(&[]), 60, Glyphs::Unicode), NO_STACK);
    }

    #[test]
    fn a_stack_that_was_left_out_is_told_from_one_that_is_unknown() {
        let mut site = site(&[]);
        site.stack_reason = Some(format!("{NOT_SAMPLED} (1 in 100)"));
        assert_eq!(short_name(&site, 60, Glyphs::Unicode), "[stack not sampled]");
        assert_eq!(folded_path(&site), ["[unknown process]", "[stack not sampled]"]);
    }

    #[test]
    fn a_folded_path_has_no_separator_inside_a_name() {
        let mut site = site(&["a;b\n", "main"]);
        site.comm = "x;y".into();
        assert_eq!(folded_path(&site), ["x:y", "main", "a:b\\n"]);
    }
}
