//! Which frames of a stack are the application's own code, and which are the plumbing below it: runtimes, the C library, network
//! libraries.
//!
//! Owns the lists of their names, for reports, comparisons and the live view alike. Judges by name and module only, so a report
//! from another machine is judged the same way.

use crate::naming::base_name;
use leaktrace_model::{Callsite, Frame};

/// Whether a frame belongs to a language's runtime or its network library, which many call sites share. So does a frame
/// without a name, as nothing says that it is the application's.
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

/// Whether a frame is known to be plumbing: one without a name may be the application's.
pub fn is_library(frame: &Frame) -> bool {
    frame.symbol.is_some() && is_plumbing(frame)
}

/// The frames that a reader wants first, leaf first: the application's own, else all that have a name, else all.
pub fn telling_frames(stack: &[Frame]) -> Vec<&Frame> {
    let own: Vec<_> = stack.iter().filter(|frame| !is_plumbing(frame)).collect();
    if !own.is_empty() {
        return own;
    }
    let named: Vec<_> = stack.iter().filter(|frame| frame.symbol.is_some()).collect();
    if named.is_empty() { stack.iter().collect() } else { named }
}

/// The one frame that stands for a call site: the innermost one of the application, else the innermost one without a name outside
/// the module that made the system call, else the innermost one with a name, else the leaf.
pub fn own_frame(site: &Callsite) -> Option<&Frame> {
    let frames = || site.stack.iter();
    let leaf = site.stack.first()?;
    frames()
        .find(|frame| !is_plumbing(frame))
        .or_else(|| frames().find(|frame| frame.symbol.is_none() && frame.module != leaf.module))
        .or_else(|| frames().find(|frame| frame.symbol.is_some()))
        .or(Some(leaf))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naming::frame_name;

    fn frame(symbol: &str, module: &str) -> Frame {
        Frame { symbol: Some(symbol.to_owned()), module: Some(module.to_owned()), ..Frame::default() }
    }

    fn own(stack: Vec<Frame>) -> Option<String> {
        own_frame(&Callsite { stack, ..Callsite::default() }).map(frame_name)
    }

    #[test]
    fn the_application_frame_stands_for_a_call_site() {
        let stack = vec![
            frame("connect", "/usr/lib/libc.so.6"),
            frame("std::net::tcp::TcpStream::connect", "/app/api"),
            frame("api::pool::checkout", "/app/api"),
            frame("std::rt::lang_start", "/app/api"),
            frame("__libc_start_main", "/usr/lib/libc.so.6"),
        ];
        assert_eq!(own(stack).as_deref(), Some("api::pool::checkout"));
    }

    #[test]
    fn a_stack_of_nothing_but_libraries_still_has_a_frame() {
        assert_eq!(own(vec![frame("connect", "libc.so.6")]).as_deref(), Some("connect"));
        assert_eq!(own(Vec::new()), None);
    }

    #[test]
    fn a_stripped_program_stands_for_a_call_site_rather_than_the_libc_it_called() {
        let bare =
            |module: &str, offset| Frame { module: Some(module.to_owned()), offset: Some(offset), ..Frame::default() };
        let stack = vec![bare("/usr/lib/libc.so.6", 1), bare("/usr/lib/libc.so.6", 2), bare("/srv/app", 0x1f)];
        assert!(!is_library(&stack[2]) && is_plumbing(&stack[2]));
        assert_eq!(own(stack).as_deref(), Some("app+0x1f"));
    }
}
