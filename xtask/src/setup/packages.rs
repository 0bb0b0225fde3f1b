//! Which programs the tests and benchmarks start, and in which Debian package each comes. The only such list.

/// A program and the package that brings it.
pub struct Package {
    /// Looked for in `PATH`.
    pub program: &'static str,
    /// Its name in Debian and what derives from it.
    pub package: &'static str,
}

const fn package(program: &'static str, package: &'static str) -> Package {
    Package { program, package }
}

/// What `cargo xtask test` and `cargo xtask vm` need beyond the build.
pub const FOR_TESTS: &[Package] = &[
    package("qemu-system-x86_64", "qemu-system-x86"),
    package("busybox", "busybox-static"),
    package("cpio", "cpio"),
    package("cc", "gcc"),
    package("tmux", "tmux"),
    // The languages in which the suite has a leaking program each.
    package("gcc", "gcc"),
    package("g++", "g++"),
    package("musl-gcc", "musl-tools"),
    package("objcopy", "binutils"),
    package("go", "golang-go"),
    package("python3", "python3"),
    package("node", "nodejs"),
    package("gdb", "gdb"),
    // Independent readers of the reports, and what makes network namespaces usable.
    package("xmllint", "libxml2-utils"),
    package("jsonschema", "python3-jsonschema"),
    package("ip", "iproute2"),
];

/// Programs that a test uses where they exist, and that set-up does not install: a browser of some 300 MB.
pub const NOT_BROUGHT: &[&str] = &["chromium"];

/// What `cargo xtask bench` compares leaktrace with.
pub const FOR_BENCHMARKS: &[Package] = &[
    package("ss", "iproute2"),
    package("unshare", "util-linux"),
    package("tcplife", "libbpf-tools"),
    package("tcplife-bpfcc", "bpfcc-tools"),
    package("bpftrace", "bpftrace"),
    package("perf", "linux-perf"),
];
