//! The JSON report as the contract promises it: names, nesting, and nothing more.
//!
//! Written from the contract and not from leaktrace's own structures, so that a renamed field is found.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The parts of a report that scenarios look at.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Report {
    /// Span.
    pub window: Window,
    /// How well the tracer did.
    pub health: Health,
    /// Sums.
    pub totals: Totals,
    /// Processes.
    pub processes: Vec<Process>,
    /// Call sites.
    pub callsites: Vec<Callsite>,
    /// Sockets.
    pub sockets: Vec<Socket>,
}

/// Span of a report.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Window {
    /// RFC 3339.
    pub end: String,
    /// Length.
    pub seconds: f64,
}

/// How well the tracer did.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Health {
    /// Kind of hook.
    pub hooks: String,
    /// What was lost.
    pub lost: Lost,
    /// Verdicts that went away within the window.
    pub resolved: u64,
}

/// What was lost.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(missing_docs)]
pub struct Lost {
    pub sockets_unattributed: u64,
    pub stacks: u64,
    pub samples: u64,
    pub captures: u64,
}

/// Sums.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(missing_docs)]
pub struct Totals {
    pub open: u64,
    pub opened: u64,
    pub closed: u64,
    pub flagged: u64,
    pub rx_queue_bytes: u64,
    pub memory_bytes: u64,
}

/// A process.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(missing_docs)]
pub struct Process {
    pub pid: u32,
    pub comm: String,
    pub exe: Option<String>,
    pub open: u64,
    pub flagged: u64,
    pub fds_open: Option<u64>,
    pub fds_limit: Option<u64>,
}

/// A call site.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(missing_docs)]
pub struct Callsite {
    pub id: u64,
    pub direction: String,
    pub comm: String,
    pub exe: Option<String>,
    pub pids: Vec<u32>,
    pub stack: Vec<Frame>,
    pub stack_quality: String,
    pub stack_reason: Option<String>,
    pub open: u64,
    pub opened: u64,
    pub closed: u64,
    pub flagged: u64,
    pub oldest_s: Option<f64>,
    pub growing: Option<bool>,
    pub growth_per_min: Option<f64>,
    pub verdicts: BTreeMap<String, u64>,
    pub peers: Vec<PeerCount>,
}

/// A frame of a stack.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(missing_docs)]
pub struct Frame {
    pub address: u64,
    pub symbol: Option<String>,
    pub inlined: bool,
}

/// A peer of a call site.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(missing_docs)]
pub struct PeerCount {
    pub peer: String,
    pub open: u64,
}

/// Who holds a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub struct Holder {
    pub pid: u32,
    pub comm: String,
    pub fd: u32,
}

/// A socket.
#[derive(Clone, Debug, Default, Deserialize)]
#[allow(missing_docs)]
pub struct Socket {
    pub cookie: Option<u64>,
    pub callsite: Option<u64>,
    pub direction: String,
    pub family: String,
    pub local: String,
    pub remote: String,
    pub state: String,
    pub pid: Option<u32>,
    pub tid: Option<u32>,
    pub comm: Option<String>,
    pub holders: Vec<Holder>,
    pub age_s: f64,
    pub age_exact: bool,
    pub idle_s: Option<f64>,
    pub rx_queue_bytes: u64,
    pub tx_queue_bytes: u64,
    pub bytes_received: u64,
    pub bytes_read: u64,
    pub bytes_sent: u64,
    pub bytes_acked: u64,
    pub unread_s: Option<f64>,
    pub keepalive: Option<bool>,
    pub user_timeout_ms: Option<u32>,
    pub waiters: Option<bool>,
    pub memory_bytes: u64,
    pub netns: Option<u64>,
    pub verdicts: Vec<String>,
}

impl Socket {
    /// The local port.
    pub fn local_port(&self) -> Option<u16> {
        port(&self.local)
    }

    /// The remote port.
    pub fn remote_port(&self) -> Option<u16> {
        port(&self.remote)
    }

    /// Its call site.
    pub fn site<'a>(&self, report: &'a Report) -> Option<&'a Callsite> {
        report.callsites.iter().find(|site| Some(site.id) == self.callsite)
    }
}

fn port(name: &str) -> Option<u16> {
    name.rsplit_once(':')?.1.parse().ok()
}

/// Reads a report, and says which of the contract's names are missing.
///
/// # Errors
/// When it is no report.
pub fn read(text: &str) -> Result<(Report, Vec<String>)> {
    let value: Value = serde_json::from_str(text).context("stdout is not JSON")?;
    let mut missing = Vec::new();
    for (place, names) in CONTRACT {
        let mut found = Vec::new();
        visit(&value, place.split('/').filter(|step| !step.is_empty()), &mut found);
        for name in names.split_whitespace() {
            if found.iter().any(|object| object.get(name).is_none()) {
                missing.push(format!("{place}/{name}"));
            }
        }
    }
    let report = serde_json::from_value(value).context("the report has other types than the contract's")?;
    Ok((report, missing))
}

/// Every field of the contract: where, and which.
const CONTRACT: &[(&str, &str)] = &[
    ("", "schema_version tool host window settings health totals processes callsites sockets"),
    ("tool", "name version"),
    ("host", "hostname kernel boot_id"),
    ("window", "start end seconds"),
    ("settings", "threshold_s stall_s idle_s interval_s filters"),
    ("health", "hooks degraded lost cpu_s rss_bytes"),
    ("health/degraded", "feature reason"),
    ("health/lost", "sockets_unattributed stacks samples captures"),
    ("totals", "open opened closed flagged rx_queue_bytes memory_bytes"),
    ("processes", "pid comm exe container cgroup open flagged fds_open fds_limit memory_bytes"),
    (
        "callsites",
        "id direction comm exe pids stack stack_quality open opened closed flagged oldest_s growing growth_per_min \
         lifetime_s rx_queue_bytes memory_bytes verdicts peers",
    ),
    ("callsites/stack", "address symbol offset module file line inlined"),
    ("callsites/lifetime_s", "count p50 p90 p99 max"),
    ("callsites/peers", "peer open"),
    (
        "sockets",
        "cookie callsite direction family local remote state pid tid comm holders age_s age_exact idle_s \
         rx_queue_bytes tx_queue_bytes bytes_received bytes_read bytes_sent bytes_acked unread_s keepalive \
         user_timeout_ms waiters memory_bytes netns container verdicts",
    ),
    ("sockets/holders", "pid comm fd"),
];

/// Collects every object at a place; lists are walked through, null is nothing.
fn visit<'a>(value: &'a Value, mut steps: impl Iterator<Item = &'a str> + Clone, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| visit(item, steps.clone(), found)),
        Value::Null => {}
        _ => match steps.next() {
            None => found.push(value),
            Some(step) => visit(value.get(step).unwrap_or(&Value::Null), steps, found),
        },
    }
}

/// Seconds since 1970 of an RFC 3339 time in UTC, with or without a fraction.
pub fn unix_seconds(time: &str) -> Option<f64> {
    let (date, clock) = time.strip_suffix('Z').or_else(|| time.strip_suffix("+00:00"))?.split_once('T')?;
    let mut parts = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let mut parts = clock.split(':').map(|part| part.parse::<f64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    // Days from the civil calendar, with years that begin in March.
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(days as f64 * 86_400.0 + hours * 3_600.0 + minutes * 60.0 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_fraction() {
        assert_eq!(unix_seconds("1970-01-01T00:00:00Z"), Some(0.0));
        assert_eq!(unix_seconds("2026-11-20T20:20:29.5Z"), Some(1_795_206_029.5));
        assert_eq!(unix_seconds("2024-02-29T12:00:00+00:00"), Some(1_709_208_000.0));
        assert_eq!(unix_seconds("yesterday"), None);
    }

    #[test]
    fn a_missing_name_is_found_wherever_it_hides() {
        let mut found = Vec::new();
        let value = serde_json::json!({"sockets": [{"holders": [{"pid": 1}, {"pid": 2}]}, {"holders": []}]});
        visit(&value, ["sockets", "holders"].into_iter(), &mut found);
        assert_eq!(found.len(), 2);
    }
}
