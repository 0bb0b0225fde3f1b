//! Which frames say something: a runtime's and a C library's own say nothing, those of a library little, those of the
//! user's own code what the question was.
//!
//! Judged by name, file and module alone, so that a report from another machine folds the same way.

use leaktrace_model::Frame;

/// What a frame says about who opened a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Says {
    /// C library, language runtime, standard library, system call stubs: folded in tables.
    Nothing,
    /// Code that somebody else wrote.
    Library,
    /// The user's own code.
    Own,
}

/// The frame that names a call site: the first of the user's own code, else the first of a library, else the first that
/// has a name at all. `None` for a stack without names.
pub fn short_name(stack: &[Frame]) -> Option<&Frame> {
    let first = |wanted: Says| stack.iter().find(|frame| frame.symbol.is_some() && says(frame) == wanted);
    first(Says::Own).or_else(|| first(Says::Library)).or_else(|| stack.iter().find(|frame| frame.symbol.is_some()))
}

/// What a frame says.
pub fn says(frame: &Frame) -> Says {
    let module = frame.module.as_deref().map_or("", base_name);
    let file = frame.file.as_deref().unwrap_or_default();
    if is_system_module(module) || is_system_file(file) {
        return Says::Nothing;
    }
    let Some(symbol) = frame.symbol.as_deref() else {
        return if is_interpreter(module) { Says::Nothing } else { Says::Library };
    };
    let generated = module == "[jit]";
    if (is_interpreter(module) && !generated) || is_system_symbol(symbol, file) {
        return Says::Nothing;
    }
    if is_dependency(file) || is_shared_library(module) { Says::Library } else { Says::Own }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a file is the C library, its loader, or one of glibc's libraries beside it. Their functions are wrappers or roots.
pub(super) fn is_libc(path: &str) -> bool {
    const NAMES: [&str; 7] = ["libc", "libm", "libpthread", "libdl", "libresolv", "librt", "ld"];
    const STARTS: [&str; 4] = ["libc.musl", "ld-musl", "ld-linux", "libnss_"];
    let name = base_name(path);
    // `libc.so.6`, or `libc-2.31.so` as it was named until 2.33.
    let is_version = |rest: &str| rest.starts_with(".so") || rest.starts_with("-2.");
    NAMES.iter().any(|known| name.strip_prefix(known).is_some_and(is_version))
        || STARTS.iter().any(|start| name.starts_with(start))
}

fn is_system_module(module: &str) -> bool {
    const STARTS: [&str; 8] =
        ["libgcc_s", "libstdc++", "libc++", "libuv.so", "libjvm", "libjava", "libnio", "libcoreclr"];
    module == "[vdso]" || is_libc(module) || STARTS.iter().any(|start| module.starts_with(start))
}

/// Interpreters, whose own functions are the same whatever they interpret.
fn is_interpreter(module: &str) -> bool {
    let numbered = |name: &str| {
        module.strip_prefix(name).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || ".-dmt".contains(c)))
    };
    ["python", "ruby", "perl", "php", "node", "nodejs", "pypy", "java"].iter().any(|name| numbered(name))
        || ["libpython", "libruby", "libperl", "libphp", "libnode"].iter().any(|start| module.starts_with(start))
        || module.contains(".cpython-")
}

fn is_shared_library(module: &str) -> bool {
    module.starts_with("lib") && (module.ends_with(".so") || module.contains(".so."))
}

/// Files of standard libraries.
fn is_system_file(file: &str) -> bool {
    file.starts_with("/rustc/")
        || file.starts_with("node:")
        || file.starts_with("internal/")
        || file.starts_with("<frozen")
        || file.contains("/rustlib/src/rust/library/")
        || (file.contains("/lib/python3.") && !file.contains("-packages/"))
        || (file.starts_with("/usr/include/c++/"))
}

/// Files where package managers put what others wrote.
fn is_dependency(file: &str) -> bool {
    const PLACES: [&str; 8] = [
        "/.cargo/registry/",
        "/.cargo/git/",
        "/pkg/mod/",
        "/vendor/",
        "/site-packages/",
        "/dist-packages/",
        "/node_modules/",
        "/usr/include/",
    ];
    // With -trimpath Go writes module@version instead of a directory.
    let trimmed = file.ends_with(".go") && file.split('/').any(|part| part.contains('@'));
    trimmed || PLACES.iter().any(|place| file.contains(place))
}

fn is_system_symbol(symbol: &str, file: &str) -> bool {
    const WRAPPERS: [&str; 32] = [
        "connect",
        "__connect",
        "__libc_connect",
        "accept",
        "__libc_accept",
        "accept4",
        "__libc_accept4",
        "syscall",
        "__syscall_cp",
        "__syscall_cp_c",
        "__syscall_cp_asm",
        "sccp",
        "__cp_end",
        "__cp_begin",
        "socketcall",
        "__socketcall",
        "__internal_syscall_cancel",
        "__syscall_cancel",
        "__syscall_cancel_arch",
        "__syscall_cancel_arch_end",
        "_start",
        "_start_c",
        "__libc_start_main",
        "__libc_start_call_main",
        "libc_start_main_stage2",
        "start_thread",
        "__pthread_start",
        "clone",
        "__clone",
        "clone3",
        "__clone3",
        "start",
    ];
    const V8: [&str; 7] = ["Builtins_", "Builtin:", "BytecodeHandler:", "Stub:", "RegExp:", "uv_", "uv__"];
    const JVM: [&str; 5] = ["Interpreter", "call_stub", "Ljava/", "Lsun/", "Ljdk/"];
    let known = symbol.split(['@', '(']).next().unwrap_or(symbol);
    let base = known.strip_suffix("_impl").or_else(|| known.strip_suffix("_GLIBC_2_34")).unwrap_or(known);
    WRAPPERS.contains(&base.strip_prefix("__GI_").unwrap_or(base))
        || V8.iter().chain(&JVM).any(|start| symbol.starts_with(start))
        || is_go_system(symbol, file)
        || is_rust_or_cpp_system(symbol)
}

/// Packages of Go's standard library. Those of anybody else start with a host name, or with `main`.
fn is_go_system(symbol: &str, file: &str) -> bool {
    const PACKAGES: [&str; 32] = [
        "runtime", "internal", "syscall", "net", "os", "io", "bufio", "bytes", "context", "crypto", "database",
        "encoding", "errors", "fmt", "log", "reflect", "sync", "time", "text", "html", "sort", "strings", "strconv",
        "math", "vendor", "testing", "plugin", "expvar", "mime", "compress", "iter", "slices",
    ];
    if symbol.starts_with("golang.org/x/sys/") || symbol.starts_with("_cgo_") || symbol.starts_with("_rt0_") {
        return true;
    }
    // C compilers put dots into names as well, as in `net.part.0`; Go names are told by their file, or by their form.
    let is_go = file.ends_with(".go") || file.ends_with(".s") || (file.is_empty() && symbol.contains('.'));
    let of_c = [".part.", ".constprop.", ".isra.", ".cold", ".lto_priv."].iter().any(|mark| symbol.contains(mark));
    let package = symbol.split(['.', '/']).next().unwrap_or_default();
    is_go && !of_c && !symbol.contains("::") && symbol.contains('.') && PACKAGES.contains(&package)
}

/// Crates and namespaces that run other people's code: standard libraries, executors, event loops.
fn is_rust_or_cpp_system(symbol: &str) -> bool {
    const CRATES: [&str; 22] = [
        "std",
        "core",
        "alloc",
        "tokio",
        "mio",
        "socket2",
        "rustix",
        "nix",
        "libc",
        "futures",
        "futures_util",
        "futures_core",
        "futures_executor",
        "async_std",
        "async_io",
        "async_executor",
        "smol",
        "polling",
        "tracing",
        "hyper_util",
        "tower",
        "__gnu_cxx",
    ];
    if symbol.contains("__rust_begin_short_backtrace") || symbol.starts_with("__rust") || symbol == "rust_panic" {
        return true;
    }
    // `<app::Dialer as core::future::future::Future>::poll` is the app's; `<F as core::ops::FnOnce>::call` is nobody's.
    let mut owner = symbol;
    while let Some(inner) = owner.strip_prefix('<') {
        owner = inner.trim_start_matches(['&', '*']).trim_start_matches("mut ").trim_start_matches("dyn ");
    }
    let end = owner.find("::").unwrap_or(owner.len());
    let krate = owner[..end].split([' ', '>', '<']).next().unwrap_or_default();
    let nobody = symbol.starts_with('<') && krate.len() == 1 && krate.chars().all(|c| c.is_ascii_uppercase());
    nobody || (owner.contains("::") && CRATES.contains(&krate)) || symbol.starts_with("boost::asio::detail::")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(symbol: &str, module: &str, file: &str) -> Frame {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Frame { symbol: text(symbol), module: text(module), file: text(file), ..Frame::default() }
    }

    #[test]
    fn the_c_library_is_known_by_its_name() {
        for path in [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib/libc-2.31.so",
            "/lib/ld-musl-x86_64.so.1",
            "/lib64/ld-linux-x86-64.so.2",
            "librt.so.1",
        ] {
            assert!(is_libc(path), "{path}");
        }
        for path in ["/usr/lib/libcurl.so.4", "/usr/bin/ldd", "/opt/libmysql.so", "librtmp.so.1", "/srv/libc.so.d/app"]
        {
            assert!(!is_libc(path), "{path}");
        }
    }

    #[test]
    fn frames_of_runtimes_say_nothing() {
        for (symbol, module, file) in [
            ("__connect", "/lib/x86_64-linux-gnu/libc.so.6", ""),
            ("", "/lib/x86_64-linux-gnu/libc.so.6", ""),
            ("__libc_start_main_impl", "/srv/app", ""),
            ("_start", "/srv/app", ""),
            ("clock_gettime", "[vdso]", ""),
            ("net.(*Dialer).DialContext", "/srv/app", "/usr/lib/go-1.19/src/net/dial.go"),
            ("internal/poll.(*FD).Connect", "/srv/app", ""),
            ("runtime.goexit", "/srv/app", "runtime/asm_amd64.s"),
            ("golang.org/x/sys/unix.Connect", "/srv/app", "/root/go/pkg/mod/golang.org/x/sys@v0.1.0/unix/a.go"),
            ("std::net::tcp::TcpStream::connect", "/srv/app", "/rustc/abc/library/std/src/net/tcp.rs"),
            ("<F as core::ops::function::FnOnce<()>>::call_once", "/srv/app", ""),
            ("tokio::runtime::task::core::Core<T,S>::poll", "/srv/app", ""),
            ("<std::net::TcpStream as std::io::Write>::write", "/srv/app", ""),
            ("_PyEval_EvalFrameDefault", "/usr/bin/python3.12", ""),
            ("sock_connect", "/usr/lib/python3.12/lib-dynload/_socket.cpython-312-x86_64-linux-gnu.so", ""),
            ("create_connection", "[jit]", "/usr/lib/python3.12/socket.py"),
            ("node::TCPWrap::Connect", "/usr/bin/node", ""),
            ("connect", "[jit]", "node:net"),
            ("Builtin:ArgumentsAdaptorTrampoline", "[jit]", ""),
        ] {
            assert_eq!(says(&frame(symbol, module, file)), Says::Nothing, "{symbol} {module} {file}");
        }
    }

    #[test]
    fn frames_of_other_people_say_little() {
        for (symbol, module, file) in [
            ("PQconnectPoll", "/usr/lib/x86_64-linux-gnu/libpq.so.5", ""),
            ("redis::connect", "/srv/app", "/root/.cargo/registry/src/index/redis-1/src/lib.rs"),
            ("github.com/redis/go-redis/v9.Dial", "/srv/app", "github.com/redis/go-redis/v9@v9.1.0/dial.go"),
            ("get", "[jit]", "/app/venv/lib/python3.12/site-packages/requests/api.py"),
            ("get", "[jit]", "/app/node_modules/axios/index.js"),
            ("", "/srv/app", ""),
        ] {
            assert_eq!(says(&frame(symbol, module, file)), Says::Library, "{symbol} {module} {file}");
        }
    }

    #[test]
    fn the_users_own_code_says_what_was_asked() {
        for (symbol, module, file) in [
            ("leak", "/srv/app", ""),
            ("main", "/srv/app", "/src/main.c"),
            ("main.(*Pool).leak", "/srv/app", "/src/main.go"),
            ("example.com/app/pool.leak", "/srv/app", ""),
            ("network.leak", "/srv/app", "/src/network.go"),
            ("net.part.0", "/srv/app", ""),
            ("app::pool::leak::{{closure}}", "/srv/app", "src/pool.rs"),
            ("<app::Dialer as core::future::future::Future>::poll", "/srv/app", "src/dialer.rs"),
            ("pool::Dialer<int>::leak(int)", "/srv/app", ""),
            ("leak", "[jit]", "/srv/app.py"),
            ("leak", "[jit]", "file:///srv/app.mjs"),
            ("standard::leak", "/srv/app", ""),
            ("nodes", "/usr/bin/nodemon-native", ""),
        ] {
            assert_eq!(says(&frame(symbol, module, file)), Says::Own, "{symbol} {module} {file}");
        }
    }

    #[test]
    fn a_call_site_is_named_by_the_first_frame_of_the_users_own() {
        let libc = frame("connect", "/lib/libc.so.6", "");
        let library = frame("PQconnectPoll", "/usr/lib/libpq.so.5", "");
        let own = frame("leak", "/srv/app", "");
        let named = |stack: &[Frame]| short_name(stack).and_then(|frame| frame.symbol.clone());
        assert_eq!(named(&[libc.clone(), library.clone(), own]).as_deref(), Some("leak"));
        assert_eq!(named(&[libc.clone(), library]).as_deref(), Some("PQconnectPoll"));
        assert_eq!(named(&[frame("", "/srv/app", ""), libc]).as_deref(), Some("connect"));
        assert_eq!(named(&[frame("", "/srv/app", "")]), None);
        assert_eq!(named(&[]), None);
    }
}
