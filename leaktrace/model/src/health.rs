//! How well the tracer itself is doing.

use crate::{Degradation, Hooks};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use std::time::Duration;

/// How well the tracer is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// Where samples come from.
    pub hooks: Hooks,
    /// What works less well than it could, and why.
    pub degraded: Vec<Degradation>,
    /// What was lost since the start.
    pub lost: Lost,
    /// Processor time of leaktrace so far, user and system.
    pub cpu: Option<Duration>,
    /// Resident memory of leaktrace, in bytes.
    pub rss_bytes: Option<u64>,
    /// Duration of the last sampling pass over all network namespaces. If not every pass walks the kernel's tables,
    /// this is the last pass over known sockets.
    pub pass: Option<Duration>,
    /// Processor time of that pass.
    pub pass_cpu: Option<Duration>,
    /// Processor time of the last holders pass.
    pub holders_pass_cpu: Option<Duration>,
    /// Kernel memory of TCP on the whole host (`/proc/net/sockstat`), in this network namespace's view, in bytes.
    pub tcp_memory_bytes: Option<u64>,
    /// Of that, memory that no sampled socket accounts for, in bytes.
    pub tcp_memory_gap_bytes: Option<i64>,
    /// How many sockets the ignore list left out.
    pub ignored: u64,
    /// How many verdicts are gone since the start of the window.
    pub resolved: u64,
    /// How the processes that read foreign files are doing; `None` in a recording that does not say.
    pub namer: Option<NamerHealth>,
}

impl Serialize for Health {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let in_seconds = |span: Option<Duration>| span.map(|span| span.as_secs_f64());
        let mut health = serializer.serialize_struct("Health", 13)?;
        health.serialize_field("hooks", &self.hooks)?;
        health.serialize_field("degraded", &self.degraded)?;
        health.serialize_field("lost", &self.lost)?;
        health.serialize_field("cpu_s", &in_seconds(self.cpu))?;
        health.serialize_field("rss_bytes", &self.rss_bytes)?;
        health.serialize_field("pass_s", &in_seconds(self.pass))?;
        health.serialize_field("pass_cpu_s", &in_seconds(self.pass_cpu))?;
        health.serialize_field("holders_pass_cpu_s", &in_seconds(self.holders_pass_cpu))?;
        health.serialize_field("tcp_memory_bytes", &self.tcp_memory_bytes)?;
        health.serialize_field("tcp_memory_gap_bytes", &self.tcp_memory_gap_bytes)?;
        health.serialize_field("ignored", &self.ignored)?;
        health.serialize_field("resolved", &self.resolved)?;
        health.serialize_field("namer", &self.namer)?;
        health.end()
    }
}

/// How the processes that read foreign files are doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NamerHealth {
    /// How often one was replaced, because it died or was late.
    pub restarts: u64,
    /// Files that are not read any more, because they ended or delayed one.
    pub refused_files: Vec<String>,
}

/// Counts of what was lost since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Sockets that had no room in the table.
    pub sockets_unattributed: u64,
    /// Stacks that could not be kept.
    pub stacks: u64,
    /// Samples that were not taken, or arrived damaged.
    pub samples: u64,
    /// Stack copies for unwinding that had no room, or exceeded the rate limit of their process.
    pub captures: u64,
}

impl Lost {
    /// Whether anything was lost.
    pub fn any(&self) -> bool {
        [self.sockets_unattributed, self.stacks, self.samples, self.captures].iter().any(|count| *count > 0)
    }
}
