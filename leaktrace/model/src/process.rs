//! Processes: what is known of one, which sockets it holds, and its row in a snapshot.

use serde::{Serialize, Serializer};
use std::{borrow::Cow, fmt};

/// A thread's name as the kernel keeps it: at most 15 bytes, not always text.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Comm(pub [u8; 16]);

impl Comm {
    /// A name, cut if it is too long.
    pub fn new(name: &str) -> Self {
        let mut bytes = [0; 16];
        for (to, from) in bytes[..15].iter_mut().zip(name.bytes()) {
            *to = from;
        }
        Self(bytes)
    }

    /// The name as text; bytes that are not text are replaced.
    pub fn text(&self) -> Cow<'_, str> {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        String::from_utf8_lossy(&self.0[..end])
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.0[0] == 0
    }
}

impl fmt::Display for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

impl Serialize for Comm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
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

/// One process, read once when it is first seen and kept after its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Process id.
    pub pid: u32,
    /// Name of its main thread.
    pub comm: String,
    /// Executable.
    pub exe: Option<String>,
    /// Control group, and what follows from it.
    pub placement: Placement,
    /// Soft limit of descriptors; `None` if there is none or it is not known.
    pub descriptor_limit: Option<u64>,
    /// When it started, in clock ticks after boot. Two processes with the same id differ in this.
    pub started: u64,
}

/// A process and the descriptor by which it holds a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Holder {
    /// Process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Its descriptor.
    pub fd: u32,
}

/// One process that holds sockets.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Name.
    pub comm: String,
    /// Executable.
    pub exe: Option<String>,
    /// Container id, 64 hexadecimal digits where the runtime uses those.
    pub container: Option<String>,
    /// Kubernetes pod UID.
    pub pod: Option<String>,
    /// Systemd unit.
    pub unit: Option<String>,
    /// Path of the control group.
    pub cgroup: Option<String>,
    /// TCP connections it holds.
    pub open: u64,
    /// Those with a verdict.
    pub flagged: u64,
    /// Descriptors of any kind.
    pub fds_open: Option<u64>,
    /// Soft limit of descriptors.
    pub fds_limit: Option<u64>,
    /// How fast descriptors grow.
    pub fds_per_min: Option<f64>,
    /// At that rate, seconds left until the limit.
    pub fds_exhausted_s: Option<f64>,
    /// Kernel memory in its sockets, in bytes.
    pub memory_bytes: u64,
}
