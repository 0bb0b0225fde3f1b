//! What was opened, by the kernel's own count and by leaktrace's.

use std::fs;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// The function of the load that leaks.
const LEAK: &str = "leak_one";

/// What the kernel counted in a network namespace since that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Connects that sent a SYN.
    pub active: u64,
    /// Connections that a listener completed.
    pub passive: u64,
}

impl Kernel {
    /// In the namespace of a process.
    pub fn of_process(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/net/snmp");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        Self::parse(&text).with_context(|| format!("no counts of TCP in {path}"))
    }

    /// Two lines begin with `Tcp:`, names and values.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp:"));
        let (names, values) = (lines.next()?, lines.next()?);
        let value = |wanted| {
            let place = names.split_whitespace().position(|name| name == wanted)?;
            values.split_whitespace().nth(place)?.parse().ok()
        };
        Some(Self { active: value("ActiveOpens")?, passive: value("PassiveOpens")? })
    }

    /// As in the JSON of the benchmark.
    pub fn to_json(self) -> Value {
        json!({ "active_opens": self.active, "passive_opens": self.passive })
    }
}

/// One end of all connections: the sockets that one way of opening made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Opened at a call site that is known.
    pub opened: u64,
    /// Closed, of those; counted by the hooks as well.
    pub closed: u64,
    /// Open, of those: counted by the last pass over the kernel's sockets, not by the hooks.
    pub open: u64,
}

impl Side {
    /// By how much what was opened is more than what is accounted for.
    pub fn imbalance(&self) -> i128 {
        i128::from(self.opened) - i128::from(self.closed) - i128::from(self.open)
    }

    fn to_json(self) -> Value {
        json!({ "opened": self.opened, "closed": self.closed, "open": self.open })
    }
}

/// What leaktrace says of one process's sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// By connect.
    pub connects: Side,
    /// By accept.
    pub accepts: Side,
    /// Open sockets whose opening was not seen.
    pub open_unknown: u64,
    /// Call sites that are said to grow and do not leak.
    pub others_growing: u64,
    /// Call sites of other programs: leaktrace sees the whole host, and names what it sees out of memory of its own.
    pub foreign: u64,
}

impl Seen {
    /// Sums over the call sites of a process.
    pub fn of(report: &Value, pid: u32) -> Self {
        let mut seen = Self::default();
        for site in callsites(report) {
            if !has_pid(site, pid) {
                seen.foreign += 1;
                continue;
            }
            let figure = |name: &str| site[name].as_u64().unwrap_or_default();
            let side = match site["direction"].as_str() {
                Some("connect") => &mut seen.connects,
                Some("accept") => &mut seen.accepts,
                _ => {
                    seen.open_unknown += figure("open");
                    continue;
                }
            };
            side.opened += figure("opened");
            side.closed += figure("closed");
            side.open += figure("open");
            seen.others_growing += u64::from(site["growing"] == true && !leaks(site));
        }
        seen
    }

    /// As in the JSON of the benchmark.
    pub fn to_json(self) -> Value {
        json!({
            "connects": self.connects.to_json(), "accepts": self.accepts.to_json(), "open_unknown": self.open_unknown,
            "others_growing": self.others_growing, "foreign_callsites": self.foreign,
        })
    }
}

/// Whether the call site that leaks, of either direction, is said to grow.
pub fn leak_is_growing(report: &Value) -> bool {
    callsites(report).any(|site| site["growing"] == true && leaks(site))
}

fn callsites(report: &Value) -> impl Iterator<Item = &Value> {
    report["callsites"].as_array().into_iter().flatten()
}

fn has_pid(site: &Value, pid: u32) -> bool {
    site["pids"].as_array().into_iter().flatten().any(|one| one.as_u64() == Some(pid.into()))
}

fn leaks(site: &Value) -> bool {
    let frames = site["stack"].as_array().into_iter().flatten();
    frames.filter_map(|frame| frame["symbol"].as_str()).any(|symbol| symbol.contains(LEAK))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Value {
        let leak = json!([{ "symbol": "connect" }, { "symbol": "churn::leak_one" }]);
        json!({ "callsites": [
            { "direction": "connect", "pids": [7], "opened": 100, "closed": 99, "open": 1, "growing": false, "stack": [] },
            { "direction": "accept", "pids": [7], "opened": 90, "closed": 88, "open": 1, "growing": null, "stack": [] },
            { "direction": "connect", "pids": [7], "opened": 5, "closed": 0, "open": 5, "growing": true, "stack": leak },
            { "direction": "unknown", "pids": [7], "opened": 0, "closed": 0, "open": 3, "growing": null, "stack": [] },
            { "direction": "connect", "pids": [8], "opened": 50, "closed": 50, "open": 0, "growing": true, "stack": [] },
        ]})
    }

    #[test]
    fn counts_are_those_of_one_process_and_a_lost_close_shows() {
        let seen = Seen::of(&report(), 7);
        assert_eq!(seen.connects, Side { opened: 105, closed: 99, open: 6 });
        assert_eq!(seen.accepts, Side { opened: 90, closed: 88, open: 1 });
        assert_eq!((seen.connects.imbalance(), seen.accepts.imbalance()), (0, 1));
        assert_eq!((seen.open_unknown, seen.others_growing, seen.foreign), (3, 0, 1));
        assert_eq!(Seen::of(&report(), 8).others_growing, 1);
    }

    #[test]
    fn the_leak_is_known_by_its_function() {
        assert!(leak_is_growing(&report()));
        let mut report = report();
        report["callsites"][2]["growing"] = json!(false);
        assert!(!leak_is_growing(&report));
    }

    #[test]
    fn the_kernels_counts_are_found_by_name() {
        let text = "Ip: Forwarding\nIp: 1\nTcp: RtoMin ActiveOpens PassiveOpens\nTcp: 200 12 11\nUdp: X\nUdp: 3\n";
        assert_eq!(Kernel::parse(text), Some(Kernel { active: 12, passive: 11 }));
        assert_eq!(Kernel::parse("Tcp: ActiveOpens\nTcp: 1\n"), None);
    }
}
