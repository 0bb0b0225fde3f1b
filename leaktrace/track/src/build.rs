//! Putting a snapshot together from what the tracker knows.

use super::{
    Tracker,
    groups::{self, Key},
    matching::Left,
    sites::Site,
};
use leaktrace_common::{CallsiteCounters, Direction, Severity, SocketRow, Verdict, Verdicts, row_flags};
use leaktrace_model::{
    filter::Candidate,
    host::{Moment, ProcessFacts},
    snapshot::{
        Callsite, Frame, Group, Health, Host, Lost, PeerCount, Process, SCHEMA_VERSION, Snapshot, Socket, Tool, Totals,
        VerdictCounts, Window,
    },
};
use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

/// Peers listed for one call site.
const MOST_PEERS: usize = 10;

/// Sums over the sockets of a call site that were shown one by one.
#[derive(Default)]
struct Shown {
    open: u64,
    flagged: u64,
    rx_queue_bytes: u64,
    memory_bytes: u64,
    oldest: Option<(u64, bool)>,
    verdicts: VerdictCounts,
    peers: HashMap<String, u64>,
}

impl Shown {
    fn add(&mut self, row: &SocketRow) {
        self.open += 1;
        self.rx_queue_bytes += u64::from(row.rx_queue_bytes);
        self.memory_bytes += u64::from(row.memory_bytes);
        let exact = row.flags & row_flags::ADOPTED == 0;
        if self.oldest.is_none_or(|(age, _)| age < row.age_ns) {
            self.oldest = Some((row.age_ns, exact));
        }
        let verdicts = Verdicts(row.verdicts);
        if !verdicts.is_empty() {
            self.flagged += 1;
        }
        count_verdicts(&mut self.verdicts, verdicts);
        *self.peers.entry(groups::peer_name(row)).or_default() += 1;
    }
}

fn count_verdicts(counts: &mut VerdictCounts, verdicts: Verdicts) {
    for verdict in verdicts.iter() {
        *counts.entry(verdict.name().to_owned()).or_default() += 1;
    }
}

impl Tracker {
    /// What is known now. Frames have addresses and places; names are for [`leaktrace_symbols`] to add.
    pub fn snapshot(&self) -> Snapshot {
        let rows: Vec<&SocketRow> = self.rows.iter().chain(&self.dead).filter(|row| self.passes(row)).collect();
        let mut shown: HashMap<u64, Shown> = HashMap::new();
        for row in &rows {
            if let Some(site) = self.sites.of_index(row.callsite) {
                shown.entry(site.id).or_default().add(row);
            }
        }
        let mut callsites: Vec<Callsite> =
            self.sites.iter().filter_map(|site| self.callsite(site, shown.remove(&site.id))).collect();
        callsites.sort_by_cached_key(|site| {
            (Reverse(worst(&site.verdicts)), Reverse(site.growing), Reverse(site.flagged), Reverse(site.open), site.id)
        });
        let (peers, listeners) = self.groups(&rows);
        let processes = self.processes(&rows);
        let mut sockets: Vec<(&SocketRow, Socket)> = rows
            .iter()
            .filter(|row| row.verdicts != 0 || self.sees_all())
            .map(|row| (*row, self.describe(row)))
            .collect();
        sockets.sort_by_cached_key(|(row, _)| {
            (Reverse(Verdicts(row.verdicts).severity()), Reverse(row.age_ns), row.cookie, row.sk)
        });
        let start = self.window_start.unwrap_or(self.now);
        Snapshot {
            schema_version: SCHEMA_VERSION,
            tool: Tool::default(),
            host: Host {
                hostname: self.host.hostname.clone(),
                kernel: self.host.kernel.clone(),
                boot_id: self.host.boot_id.clone(),
            },
            window: Window {
                start: rfc3339(start),
                end: rfc3339(self.now),
                seconds: self.now.boot_ns.saturating_sub(start.boot_ns) as f64 / 1e9,
            },
            settings: self.settings.clone(),
            health: self.health(),
            totals: totals(&callsites),
            processes,
            callsites,
            peers,
            listeners,
            sockets: sockets.into_iter().map(|(_, socket)| socket).collect(),
            run: self.describe_tree(),
        }
    }

    fn health(&self) -> Health {
        let accounted = self.totals.memory_bytes + self.totals.orphan_memory_bytes;
        Health {
            hooks: self.hooks.clone(),
            degraded: self.degraded.iter().cloned().collect(),
            lost: Lost {
                sockets_unattributed: self.losses.sockets_unattributed.max(self.totals.unattributed),
                stacks: self.losses.stacks,
                samples: self.damaged,
                captures: self.losses.captures,
            },
            cpu_s: Some(self.cost.cpu.as_secs_f64()),
            rss_bytes: Some(self.cost.rss_bytes),
            pass_s: Some(self.cost.sockets.as_secs_f64()),
            pass_cpu_s: Some(self.cost.sockets_cpu.as_secs_f64()),
            holders_pass_cpu_s: (!self.cost.holders.is_zero()).then_some(self.cost.holders.as_secs_f64()),
            tcp_memory_bytes: self.tcp_memory_bytes,
            tcp_memory_gap_bytes: self.tcp_memory_bytes.map(|all| all as i64 - accounted as i64),
            ignored: self.rows.iter().chain(&self.dead).filter(|row| self.is_ignored(row)).count() as u64,
            resolved: self.resolved,
        }
    }

    /// A call site as reports show it; `None` where nothing happens or the filters leave it out.
    fn callsite(&self, site: &Site, shown: Option<Shown>) -> Option<Callsite> {
        let is_followed = |pid: &u32| self.tree.as_ref().is_none_or(|tree| tree.has(*pid));
        let pids: Vec<u32> = site.pids.iter().copied().filter(is_followed).collect();
        if self.tree.is_some() && pids.is_empty() {
            return None;
        }
        let facts: Vec<&ProcessFacts> = pids.iter().filter_map(|pid| self.facts.get(pid)).collect();
        let candidate = Candidate {
            socket: None,
            pids: &pids,
            processes: &facts,
            comm: &site.comm,
            direction: Some(site.direction),
        };
        let left = self.left_of(site);
        // An entry with a port or peer says nothing of call sites that it does not fit otherwise.
        let by_port = self.ignore.iter().any(|ignore| ignore.needs_sockets() && ignore.matches(&candidate));
        let by_socket = self.filter.needs_sockets() || by_port;
        let by_holder = shown.as_ref().is_some_and(|shown| shown.open > 0);
        if left == Left::Nothing || (!self.filter.matches(&candidate) && !by_holder) || (by_socket && !by_holder) {
            return None;
        }
        let by_row = !self.filter.is_empty() || by_socket;
        let exact = by_row || left == Left::Part;
        let counts = if exact { self.counts_of_matching(site) } else { self.sites.counts(site) };
        let shown = shown.unwrap_or_default();
        let witnessed = site.direction != Direction::Unknown;
        let mut callsite = Callsite {
            id: site.id,
            direction: site.direction.name().to_owned(),
            comm: site.comm.clone(),
            exe: site.exe.clone(),
            pids: if exact { self.matching_pids(site, &pids) } else { pids },
            stack: site.stack.iter().map(|place| Frame { address: place.address, ..Frame::default() }).collect(),
            stack_quality: site.quality,
            stack_reason: site.reason.clone(),
            open: shown.open,
            opened: if witnessed { counts.opened } else { 0 },
            closed: if witnessed { counts.closed } else { 0 },
            lifetime_s: counts.lifetimes.summary(),
            growing: site.history.trend().map(|trend| trend.growing),
            growth_per_min: site.history.trend().map(|trend| trend.per_min),
            flagged: shown.flagged,
            rx_queue_bytes: shown.rx_queue_bytes,
            memory_bytes: shown.memory_bytes,
            oldest_s: shown.oldest.map(|(age, _)| age as f64 / 1e9),
            oldest_exact: shown.oldest.is_some_and(|(_, exact)| exact),
            verdicts: shown.verdicts,
            peers: top_peers(shown.peers),
        };
        if !by_row && !self.sees_all() {
            self.sum_passes(site, &mut callsite);
        }
        let nothing = callsite.open == 0 && callsite.opened == 0 && callsite.closed == 0;
        (!nothing).then_some(callsite)
    }

    /// What the kernel side has summed for a call site, where not every socket was shown. Sockets that TCP has finished
    /// with are in no pass, so those that were shown are added.
    fn sum_passes(&self, site: &Site, callsite: &mut Callsite) {
        callsite.open = 0;
        callsite.flagged = 0;
        callsite.rx_queue_bytes = 0;
        callsite.memory_bytes = 0;
        callsite.verdicts.clear();
        let mut oldest = None;
        let has_ignore = !self.ignore.is_empty();
        let is_left = |counters: &&CallsiteCounters| !(has_ignore && self.ignores_process(site, counters.key.tgid));
        for counters in self.sites.members(site).filter(|counters| self.sites.is_current(counters)).filter(is_left) {
            let sums = &counters.sums;
            callsite.open += u64::from(sums.open);
            callsite.flagged += u64::from(sums.flagged);
            callsite.rx_queue_bytes += sums.rx_queue_bytes;
            callsite.memory_bytes += sums.memory_bytes;
            for (verdict, count) in Verdict::ALL.into_iter().map(|verdict| (verdict, sums.verdicts[verdict as usize])) {
                if count > 0 {
                    *callsite.verdicts.entry(verdict.name().to_owned()).or_default() += u64::from(count);
                }
            }
            if sums.open > 0 && oldest.is_none_or(|(ns, _)| sums.oldest_ns < ns) {
                oldest = Some((sums.oldest_ns, sums.oldest_adopted == 0));
            }
        }
        let is_of_site = |row: &&SocketRow| self.sites.of_index(row.callsite).is_some_and(|of| of.id == site.id);
        for row in self.dead.iter().filter(is_of_site).filter(|row| self.passes(row)) {
            callsite.open += 1;
            callsite.rx_queue_bytes += u64::from(row.rx_queue_bytes);
            callsite.memory_bytes += u64::from(row.memory_bytes);
            let opened_ns = self.dead_ns.saturating_sub(row.age_ns);
            if oldest.is_none_or(|(ns, _)| opened_ns < ns) {
                oldest = Some((opened_ns, row.flags & row_flags::ADOPTED == 0));
            }
            if row.verdicts != 0 {
                callsite.flagged += 1;
                count_verdicts(&mut callsite.verdicts, Verdicts(row.verdicts));
            }
        }
        callsite.oldest_s = oldest.map(|(ns, _)| self.now.boot_ns.saturating_sub(ns) as f64 / 1e9);
        callsite.oldest_exact = oldest.is_some_and(|(_, exact)| exact);
    }

    fn groups(&self, rows: &[&SocketRow]) -> (Vec<Group>, Vec<Group>) {
        let (mut peers, mut listeners) = (Vec::new(), Vec::new());
        for (key, group) in self.peers.gather(rows.iter().copied()) {
            match key {
                Key::Peer(_) => peers.push(group),
                Key::Listener(_) => listeners.push(group),
            }
        }
        for groups in [&mut peers, &mut listeners] {
            groups.sort_by_cached_key(|group| {
                (Reverse(worst(&group.verdicts)), Reverse(group.flagged), Reverse(group.open), group.name.clone())
            });
        }
        (peers, listeners)
    }

    /// Processes that opened or hold one of these sockets.
    fn involved(&self, rows: &[&SocketRow]) -> HashSet<u32> {
        let holders = rows.iter().flat_map(|row| self.processes.of_socket(row.sk).iter().map(|(pid, _)| *pid));
        let openers = rows.iter().filter_map(|row| self.sites.opener(row.callsite).map(|(pid, _)| pid));
        holders.chain(openers).chain(rows.iter().map(|row| row.holder_tgid)).collect()
    }

    fn processes(&self, rows: &[&SocketRow]) -> Vec<Process> {
        let mut flagged: HashMap<u32, u64> = HashMap::new();
        for row in rows.iter().filter(|row| row.verdicts != 0) {
            let mut pids: Vec<u32> = self.processes.of_socket(row.sk).iter().map(|(pid, _)| *pid).collect();
            pids.dedup();
            for pid in pids {
                *flagged.entry(pid).or_default() += 1;
            }
        }
        // Ports, peers and directions are no property of a process: one is shown for its sockets.
        let by_row = self.filter.needs_sockets() || !self.filter.directions.is_empty();
        let involved = if by_row { self.involved(rows) } else { HashSet::new() };
        let mut processes: Vec<Process> = self
            .processes
            .rows()
            .filter(|row| !by_row || involved.contains(&row.tgid))
            .filter(|row| self.tree.as_ref().is_none_or(|tree| tree.has(row.tgid)))
            .filter_map(|row| {
                let facts = self.facts.get(&row.tgid);
                let known: Vec<&ProcessFacts> = facts.into_iter().collect();
                let comm = super::sites::text(&row.comm);
                let candidate =
                    Candidate { socket: None, pids: &[row.tgid], processes: &known, comm: &comm, direction: None };
                if !self.filter.matches(&candidate) || self.ignores(&candidate) {
                    return None;
                }
                let limit = facts.and_then(|facts| facts.descriptor_limit);
                let growth = self.processes.growth(row.tgid, limit);
                let placement = facts.map(|facts| facts.placement.clone()).unwrap_or_default();
                Some(Process {
                    pid: row.tgid,
                    comm: facts.map_or(comm, |facts| facts.comm.clone()),
                    exe: facts.and_then(|facts| facts.exe.clone()),
                    container: placement.container,
                    pod: placement.pod,
                    unit: placement.unit,
                    cgroup: placement.cgroup,
                    open: row.sockets.into(),
                    flagged: flagged.get(&row.tgid).copied().unwrap_or(0),
                    fds_open: Some(row.fds.into()),
                    fds_limit: limit,
                    fds_per_min: growth.map(|growth| growth.per_min),
                    fds_exhausted_s: growth.and_then(|growth| growth.exhausted_s),
                    memory_bytes: row.memory_bytes,
                })
            })
            .collect();
        processes.sort_by_key(|process| (Reverse(process.flagged), Reverse(process.open), process.pid));
        processes
    }
}

/// Sums over call sites, which is what the filters have left.
fn totals(callsites: &[Callsite]) -> Totals {
    let sum = |field: fn(&Callsite) -> u64| callsites.iter().map(field).sum();
    Totals {
        open: sum(|site| site.open),
        opened: sum(|site| site.opened),
        closed: sum(|site| site.closed),
        flagged: sum(|site| site.flagged),
        rx_queue_bytes: sum(|site| site.rx_queue_bytes),
        memory_bytes: sum(|site| site.memory_bytes),
    }
}

fn worst(verdicts: &VerdictCounts) -> Option<Severity> {
    verdicts.keys().filter_map(|name| Verdict::from_name(name)).map(Verdict::severity).max()
}

fn top_peers(peers: HashMap<String, u64>) -> Vec<PeerCount> {
    let mut peers: Vec<PeerCount> = peers.into_iter().map(|(peer, open)| PeerCount { peer, open }).collect();
    peers.sort_by(|a, b| b.open.cmp(&a.open).then_with(|| a.peer.cmp(&b.peer)));
    peers.truncate(MOST_PEERS);
    peers
}

fn rfc3339(moment: Moment) -> String {
    let since_1970 = Duration::from_nanos(u64::try_from(moment.unix_ns).unwrap_or(0));
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since_1970).to_string()
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
