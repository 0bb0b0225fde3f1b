//! Which skips are expected. Each needs evidence from the kernel, never from leaktrace.

use leaktrace_skip::kernel_has;
use std::path::Path;

/// Where the suite runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A machine in use, whose kernel may be built or locked in any way.
    Host,
    /// A virtual machine of the matrix, whose kernel is known to do everything.
    Vm,
}

/// Whether a kind of hook may be missing here.
pub fn hook_may_be_missing(hook: &str, place: Place) -> bool {
    match (hook, place) {
        ("kprobe", Place::Host) => !kernel_has("register_kprobe"),
        // A kernel may refuse fentry for reasons that are visible nowhere; leaktrace prints the kernel's answer.
        ("fentry", Place::Host) => true,
        _ => false,
    }
}

/// Whether a program may be unable to run there.
pub fn program_may_be_missing(program: &str, place: Place) -> bool {
    let absent = |path: &str| !Path::new(path).exists();
    match program {
        "mptcp" => absent("/proc/sys/net/mptcp"),
        "fast-open" => absent("/proc/sys/net/ipv4/tcp_fastopen"),
        "ipv6" | "mapped" | "dual-stack-server" => absent("/proc/net/if_inet6"),
        // Debian builds this as a module, and the guest loads none.
        "dead-held-destroyed" => !kernel_has("tcp_diag_destroy"),
        // Set-up installs the system's CPython only, which may be older than 3.12.
        "python-perf" => true,
        // Set-up installs every other tool. A virtual machine has what the host has prepared, and no tools.
        name if super::scenario::is_real(name) => place == Place::Vm,
        name if name.starts_with("uring-") => {
            !kernel_has("io_uring_get_socket")
                && !kernel_has("io_uring_sqe_to_file")
                && !kernel_has("__io_uring_cancel")
                || std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").is_ok_and(|text| text.trim() != "0")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_may_be_missing_in_a_machine_and_not_on_the_host() {
        for program in ["rust-debug", "c-musl", "go-client", "python-client", "node-perf"] {
            assert!(program_may_be_missing(program, Place::Vm), "{program}");
            assert!(!program_may_be_missing(program, Place::Host), "{program}");
        }
        assert!(program_may_be_missing("python-perf", Place::Host));
        assert!(!program_may_be_missing("fifty", Place::Vm));
    }
}
