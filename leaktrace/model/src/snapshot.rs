//! What is known at one moment: the one structure that the live view, reports and metrics read.
//!
//! It serializes to the JSON report, field for field; `schema_version` counts incompatible changes. Unknown is `None`,
//! never a made-up value.

use crate::{Callsite, Group, Health, Host, Process, Run, Settings, Socket, Sums, Verdicts, Window};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

/// Version of the report's structure.
pub const SCHEMA_VERSION: u32 = 1;

/// One report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// [`SCHEMA_VERSION`]
    pub schema_version: u32,
    /// The program that wrote it.
    pub tool: Tool,
    /// Where it was taken.
    pub host: Host,
    /// What span it covers.
    pub window: Window,
    /// With which thresholds.
    pub settings: Settings,
    /// How well the tracer itself is doing.
    pub health: Health,
    /// Sums over everything.
    pub totals: Totals,
    /// Processes that hold sockets, worst first.
    pub processes: Vec<Process>,
    /// Call sites, worst first.
    pub callsites: Vec<Callsite>,
    /// Sockets grouped by peer, worst first.
    pub peers: Vec<Group>,
    /// Accepted sockets grouped by the local address they were accepted on, worst first.
    pub listeners: Vec<Group>,
    /// Flagged sockets (all of them with `--all`), worst first.
    pub sockets: Vec<Socket>,
    /// What became of the command, in a report of `leaktrace run` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
}

impl Snapshot {
    /// Whether one of these verdicts holds for any socket. Counts of call sites decide too, because not every socket
    /// may be listed.
    pub fn has_any(&self, verdicts: Verdicts) -> bool {
        let counted = self.callsites.iter().flat_map(|site| site.sums.verdicts.iter());
        counted.map(|(verdict, _)| verdict).any(|verdict| verdicts.contains(verdict))
            || self.sockets.iter().any(|socket| !socket.observed.verdicts.and(verdicts).is_empty())
    }
}

/// The program that writes reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tool {
    /// `leaktrace`
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

impl Default for Tool {
    fn default() -> Self {
        Self { name: "leaktrace", version: env!("CARGO_PKG_VERSION") }
    }
}

/// Sums over everything that matches the filters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sums over open sockets.
    pub sums: Sums,
    /// Opened within the window.
    pub opened: u64,
    /// Closed within the window.
    pub closed: u64,
}

impl Serialize for Totals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut totals = serializer.serialize_struct("Totals", 6)?;
        totals.serialize_field("open", &self.sums.open)?;
        totals.serialize_field("opened", &self.opened)?;
        totals.serialize_field("closed", &self.closed)?;
        totals.serialize_field("flagged", &self.sums.flagged)?;
        totals.serialize_field("rx_queue_bytes", &self.sums.rx_queue_bytes)?;
        totals.serialize_field("memory_bytes", &self.sums.memory_bytes)?;
        totals.end()
    }
}
