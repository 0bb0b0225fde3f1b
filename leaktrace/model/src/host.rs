//! A host and its processes, as samples and recordings carry them. How they are read is not known here.

/// One process, read once when it is first seen and kept after its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Process id.
    pub pid: u32,
    /// Name of its main thread.
    pub comm: String,
    /// Executable.
    pub exe: Option<String>,
    /// Control group and what it tells.
    pub placement: Placement,
    /// Soft limit of descriptors; `None` if there is none or it is not known.
    pub descriptor_limit: Option<u64>,
    /// When it started, in clock ticks after boot: tells a reused process id apart.
    pub started: u64,
}

/// Where a process runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Path of the control group.
    pub cgroup: Option<String>,
    /// Container id.
    pub container: Option<String>,
    /// Kubernetes pod UID, with dashes.
    pub pod: Option<String>,
    /// Systemd unit.
    pub unit: Option<String>,
}

/// Who and what the machine is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Host name.
    pub hostname: Option<String>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Boot id.
    pub boot_id: Option<String>,
}

/// A moment by both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub boot_ns: u64,
    /// Nanoseconds since 1970.
    pub unix_ns: i64,
}
