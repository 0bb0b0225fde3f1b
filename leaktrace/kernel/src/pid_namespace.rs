//! Whether process ids mean the same to this process and to the kernel side.

use std::{fs, path::Path};

/// `PROC_PID_INIT_INO` (include/linux/proc_ns.h, 3.8): the host's namespace. Programs get its process ids, even if a process of
/// another namespace has loaded them.
const OF_HOST: &str = "pid:[4026531836]";

/// Whether this process is not in the host's PID namespace. There a process id means another process than for the kernel side.
pub fn is_own() -> bool {
    // Without /proc the namespace is unknown.
    fs::read_link("/proc/self/ns/pid").is_ok_and(|name| is_other(&name))
}

fn is_other(name: &Path) -> bool {
    name != Path::new(OF_HOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_skip::{Lack, skip};
    use std::process::Command;

    #[test]
    fn a_process_of_another_pid_namespace_is_distinguished_from_one_of_the_host() {
        assert!(!is_other(Path::new(OF_HOST)));
        let link = Command::new("unshare").args(["--fork", "--pid", "readlink", "/proc/self/ns/pid"]).output();
        match link {
            Ok(link) if link.status.success() => {
                let name = String::from_utf8(link.stdout).unwrap();
                assert!(name.starts_with("pid:[") && is_other(Path::new(name.trim())), "{name}");
            }
            _ => skip(Lack::Privilege("namespaces cannot be made here")),
        }
    }
}
