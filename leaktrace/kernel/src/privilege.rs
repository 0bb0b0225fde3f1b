//! What this process may do: the capabilities that leaktrace asks for and what each is for.

use std::fs;

/// A capability (include/uapi/linux/capability.h), by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Capability {
    /// Changing limits.
    SysResource = 24,
    /// Entering other network namespaces; on kernels before 5.8 also what [`Self::Perfmon`] and [`Self::Bpf`] are for.
    SysAdmin = 21,
    /// Looking into other users' processes.
    SysPtrace = 19,
    /// Tracing.
    Perfmon = 38,
    /// Loading programs.
    Bpf = 39,
}

impl Capability {
    /// The capabilities that leaktrace uses, the needed ones first.
    pub const ALL: [Self; 4] = [Self::Bpf, Self::Perfmon, Self::SysPtrace, Self::SysAdmin];

    /// Its name in capabilities(7).
    pub const fn name(self) -> &'static str {
        match self {
            Self::SysResource => "CAP_SYS_RESOURCE",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::SysPtrace => "CAP_SYS_PTRACE",
            Self::Perfmon => "CAP_PERFMON",
            Self::Bpf => "CAP_BPF",
        }
    }

    /// What leaktrace needs it for.
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::SysResource => "raising the limit of locked memory before 5.11",
            Self::SysAdmin => "entering other network namespaces, and tracefs where it is not mounted",
            Self::SysPtrace => "memory maps, executables and network namespaces of other users' processes",
            Self::Perfmon => "attaching hooks and reading kernel memory from them",
            Self::Bpf => "loading programs and maps",
        }
    }

    /// Whether leaktrace does not work without it.
    pub const fn is_needed(self) -> bool {
        matches!(self, Self::Bpf | Self::Perfmon)
    }
}

/// Whether this process has it in effect.
pub fn has(capability: Capability) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective(&status).is_some_and(|set| set >> (capability as u8) & 1 == 1)
}

/// The capabilities that leaktrace needs and that this process does not have.
pub fn missing() -> Vec<Capability> {
    // CAP_SYS_ADMIN stands in for both of the needed ones.
    if has(Capability::SysAdmin) {
        return Vec::new();
    }
    Capability::ALL.into_iter().filter(|capability| capability.is_needed() && !has(*capability)).collect()
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Limit of locked memory in bytes; `None` for unlimited.
pub fn memlock_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the argument is a valid place for the result.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_set_is_read() {
        assert_eq!(effective("Name:\tx\nCapEff:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
        assert_eq!(effective("rubbish"), None);
    }
}
