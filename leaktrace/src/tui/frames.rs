//! Which frame of a stack is the application's own, and which can be folded away.
//!
//! A matter of taste for the screen only: nothing is decided by it.

use crate::snapshot::{Callsite, Frame};

/// Modules whose frames say nothing about who forgot a socket.
const SYSTEM_MODULES: [&str; 10] = [
    "libc.so",
    "libc-",
    "libpthread",
    "ld-linux",
    "ld-musl",
    "libstdc++",
    "libgcc_s",
    "[vdso]",
    "libc.musl",
    "libuv.so",
];

/// Beginnings of functions that belong to a language's runtime or standard library.
const RUNTIME_SYMBOLS: [&str; 25] = [
    "std::",
    "core::",
    "alloc::",
    "<std::",
    "<core::",
    "<alloc::",
    "__rust",
    "rust_begin",
    "std_sys_",
    "tokio::",
    "mio::",
    "<tokio::",
    "<mio::",
    "socket2::",
    "runtime.",
    "internal/",
    "syscall.",
    "net.",
    "net/http.",
    "crypto/tls.",
    "golang.org/x/",
    "__libc_",
    "_start",
    "start_thread",
    "clone",
];

/// Whether a frame belongs to a library or a runtime and not to the application.
pub fn is_library(frame: &Frame) -> bool {
    let module = frame.module.as_deref().map(super::text::file_name).unwrap_or_default();
    if SYSTEM_MODULES.iter().any(|name| module.starts_with(name)) {
        return true;
    }
    let symbol = frame.symbol.as_deref().unwrap_or_default();
    matches!(symbol, "connect" | "accept" | "accept4" | "__connect" | "__accept" | "clone3")
        || RUNTIME_SYMBOLS.iter().any(|start| symbol.starts_with(start))
}

/// The frame that names a call site: the innermost one of the application, else the innermost one with a name.
pub fn culprit(site: &Callsite) -> Option<&Frame> {
    let named = |frame: &&Frame| frame.symbol.is_some();
    let own = site.stack.iter().find(|frame| frame.symbol.is_some() && !is_library(frame));
    own.or_else(|| site.stack.iter().find(|frame| !is_library(frame)))
        .or_else(|| site.stack.iter().find(named))
        .or_else(|| site.stack.first())
}

/// A stack as it is listed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Line<'a> {
    /// One frame and its place in the stack.
    Frame(usize, &'a Frame),
    /// So many frames of libraries in a row.
    Folded(usize),
}

/// Whether frames of libraries are folded away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Folding {
    /// They are.
    #[default]
    Folded,
    /// Every frame is listed.
    Unfolded,
}

/// The lines of a stack, leaf first. Two or more frames of libraries in a row fold into one line.
pub fn lines(stack: &[Frame], folding: Folding) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut at = 0;
    while at < stack.len() {
        let run = stack[at..].iter().take_while(|frame| is_library(frame)).count();
        if folding == Folding::Folded && run > 1 {
            lines.push(Line::Folded(run));
            at += run;
        } else {
            lines.push(Line::Frame(at, &stack[at]));
            at += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(symbol: &str, module: &str) -> Frame {
        Frame { symbol: Some(symbol.to_owned()), module: Some(module.to_owned()), ..Frame::default() }
    }

    #[test]
    fn the_application_frame_names_a_call_site() {
        let stack = vec![
            frame("connect", "/usr/lib/libc.so.6"),
            frame("std::net::tcp::TcpStream::connect", "/app/api"),
            frame("api::pool::checkout", "/app/api"),
            frame("std::rt::lang_start", "/app/api"),
            frame("__libc_start_main", "/usr/lib/libc.so.6"),
        ];
        let site = Callsite { stack, ..Callsite::default() };
        assert_eq!(culprit(&site).and_then(|f| f.symbol.as_deref()), Some("api::pool::checkout"));
        let folded = lines(&site.stack, Folding::Folded);
        assert_eq!(folded.len(), 3);
        assert_eq!((folded[0], folded[2]), (Line::Folded(2), Line::Folded(2)));
        assert_eq!(lines(&site.stack, Folding::Unfolded).len(), 5);
    }

    #[test]
    fn a_stack_of_nothing_but_libraries_still_has_a_name() {
        let site = Callsite { stack: vec![frame("connect", "libc.so.6")], ..Callsite::default() };
        assert_eq!(culprit(&site).and_then(|f| f.symbol.as_deref()), Some("connect"));
        assert_eq!(culprit(&Callsite::default()), None);
    }
}
