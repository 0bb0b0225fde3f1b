//! Builds a snapshot from what the tracker knows.

use super::{Tracker, matching::Left};
use crate::sites::Site;
use leaktrace_model::{
    Callsite, Candidate, Direction, Frame, Group, GroupKey, Health, Lost, Observed, Peer, PeerCount, Process,
    ProcessFacts, SCHEMA_VERSION, SiteCounters, Snapshot, Socket, Sums, Tool, Totals, Window,
};
use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

/// Most peers listed for one call site.
const MOST_PEERS: usize = 10;

/// What is known of the sockets of a call site that were shown one by one.
#[derive(Default)]
struct Listed {
    sums: Sums,
    peers: HashMap<Peer, u64>,
}

impl Listed {
    fn add(&mut self, row: &Observed) {
        self.sums.add(row);
        *self.peers.entry(Peer::of(row)).or_default() += 1;
    }
}

impl Tracker {
    /// The current snapshot. Its frames have addresses and places, but no names.
    pub fn snapshot(&self) -> Snapshot {
        let rows: Vec<&Observed> = self.rows.iter().chain(&self.dead).filter(|row| self.passes(row)).collect();
        let mut shown: HashMap<u64, Listed> = HashMap::new();
        for row in &rows {
            if let Some(site) = self.sites.of_index(row.callsite) {
                shown.entry(site.id).or_default().add(row);
            }
        }
        let mut callsites: Vec<Callsite> =
            self.sites.iter().filter_map(|site| self.callsite(site, shown.remove(&site.id))).collect();
        callsites.sort_by_cached_key(|site| {
            (
                Reverse(site.sums.verdicts.worst()),
                Reverse(site.trend.map(|trend| trend.growing)),
                Reverse(site.sums.flagged),
                Reverse(site.sums.open),
                site.id,
            )
        });
        let (peers, listeners) = self.groups(&rows);
        let processes = self.processes(&rows);
        let mut sockets: Vec<(&Observed, Socket)> = rows
            .iter()
            .filter(|row| !row.verdicts.is_empty() || self.sees_all())
            .map(|row| (*row, self.describe(row)))
            .collect();
        sockets
            .sort_by_cached_key(|(row, _)| (Reverse(row.verdicts.severity()), Reverse(row.age_ns), row.cookie, row.sk));
        let start = self.window_start.unwrap_or(self.now);
        Snapshot {
            schema_version: SCHEMA_VERSION,
            tool: Tool::default(),
            host: self.host.clone(),
            window: Window { start, end: self.now },
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
        let accounted = self.totals.sums.memory_bytes + self.totals.orphan_memory_bytes;
        Health {
            hooks: self.hooks,
            degraded: self.degraded.iter().cloned().collect(),
            lost: Lost {
                sockets_unattributed: self.lost.sockets_unattributed.max(self.totals.unattributed),
                ..self.lost
            },
            cpu: Some(self.cost.cpu),
            rss_bytes: Some(self.cost.rss_bytes),
            pass: Some(self.cost.sockets),
            pass_cpu: Some(self.cost.sockets_cpu),
            holders_pass_cpu: (!self.cost.holders.is_zero()).then_some(self.cost.holders),
            tcp_memory_bytes: self.tcp_memory_bytes,
            tcp_memory_gap_bytes: self.tcp_memory_bytes.map(|all| all as i64 - accounted as i64),
            ignored: self.rows.iter().chain(&self.dead).filter(|row| self.is_ignored(row)).count() as u64,
            resolved: self.resolved,
            namer: self.namer.clone(),
        }
    }

    /// A call site as reports show it; `None` when nothing happened there or the filters leave it out.
    fn callsite(&self, site: &Site, shown: Option<Listed>) -> Option<Callsite> {
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
        // An entry with a port or peer says nothing of call sites that it does not match otherwise.
        let by_port = self.ignore.iter().any(|ignore| ignore.needs_sockets() && ignore.matches(&candidate));
        let by_socket = self.settings.filter.needs_sockets() || by_port;
        let by_holder = shown.as_ref().is_some_and(|shown| shown.sums.open > 0);
        if left == Left::Nothing
            || (!self.settings.filter.matches(&candidate) && !by_holder)
            || (by_socket && !by_holder)
        {
            return None;
        }
        let by_row = !self.settings.filter.is_empty() || by_socket;
        let exact = by_row || left == Left::Part;
        let counts = if exact { self.counts_of_matching(site) } else { self.sites.counts(site) };
        let shown = shown.unwrap_or_default();
        let witnessed = site.direction != Direction::Unknown;
        let mut callsite = Callsite {
            id: site.id,
            direction: site.direction,
            comm: site.comm.clone(),
            exe: site.exe.clone(),
            pids: if exact { self.matching_pids(site, &pids) } else { pids },
            stack: site.stack.iter().map(|place| Frame { address: place.address, ..Frame::default() }).collect(),
            stack_quality: site.quality,
            stack_reason: site.reason.clone(),
            sums: shown.sums,
            opened: if witnessed { counts.opened } else { 0 },
            closed: if witnessed { counts.closed } else { 0 },
            lifetimes: counts.lifetimes.summary(),
            trend: site.history.trend(),
            peers: top_peers(shown.peers),
        };
        if !by_row && !self.sees_all() {
            callsite.sums = self.sum_passes(site);
        }
        let nothing = callsite.sums.open == 0 && callsite.opened == 0 && callsite.closed == 0;
        (!nothing).then_some(callsite)
    }

    /// What the kernel side has summed for a call site, used when not every socket was shown. No pass has sockets that
    /// TCP has finished with, so those that were shown are added.
    fn sum_passes(&self, site: &Site) -> Sums {
        let mut sums = Sums::default();
        let has_ignore = !self.ignore.is_empty();
        let is_left = |counters: &&SiteCounters| !(has_ignore && self.ignores_process(site, counters.key.pid));
        for counters in self.sites.members(site).filter(|counters| self.sites.is_current(counters)).filter(is_left) {
            sums.merge(&counters.sums);
        }
        let is_of_site = |row: &&Observed| self.sites.of_index(row.callsite).is_some_and(|of| of.id == site.id);
        for row in self.dead.iter().filter(is_of_site).filter(|row| self.passes(row)) {
            // Their ages count from the last holders pass; the sums count from now.
            let opened_ns = self.dead_ns.saturating_sub(row.age_ns);
            sums.add(&Observed { age_ns: self.now.boot_ns.saturating_sub(opened_ns), ..*row });
        }
        sums
    }

    fn groups(&self, rows: &[&Observed]) -> (Vec<Group>, Vec<Group>) {
        let (mut peers, mut listeners) = (Vec::new(), Vec::new());
        for (key, group) in self.peers.gather(rows.iter().copied()) {
            match key {
                GroupKey::Peer(_) => peers.push(group),
                GroupKey::Listener(_) => listeners.push(group),
            }
        }
        for groups in [&mut peers, &mut listeners] {
            groups.sort_by_cached_key(|group| {
                (
                    Reverse(group.sums.verdicts.worst()),
                    Reverse(group.sums.flagged),
                    Reverse(group.sums.open),
                    group.key.to_string(),
                )
            });
        }
        (peers, listeners)
    }

    /// Processes that opened or hold one of these sockets.
    fn involved(&self, rows: &[&Observed]) -> HashSet<u32> {
        let holders = rows.iter().flat_map(|row| self.processes.of_socket(row.sk).iter().map(|(pid, _)| *pid));
        let openers = rows.iter().filter_map(|row| self.sites.opener(row.callsite).map(|opener| opener.pid));
        holders.chain(openers).chain(rows.iter().filter_map(|row| row.held_by.map(|(pid, _)| pid))).collect()
    }

    fn processes(&self, rows: &[&Observed]) -> Vec<Process> {
        let mut flagged: HashMap<u32, u64> = HashMap::new();
        for row in rows.iter().filter(|row| !row.verdicts.is_empty()) {
            let mut pids: Vec<u32> = self.processes.of_socket(row.sk).iter().map(|(pid, _)| *pid).collect();
            pids.dedup();
            for pid in pids {
                *flagged.entry(pid).or_default() += 1;
            }
        }
        // Ports, peers and directions are properties of sockets: a process is shown if it has a matching socket.
        let by_row = self.settings.filter.needs_sockets() || !self.settings.filter.directions.is_empty();
        let involved = if by_row { self.involved(rows) } else { HashSet::new() };
        let mut processes: Vec<Process> = self
            .processes
            .rows()
            .filter(|row| !by_row || involved.contains(&row.pid))
            .filter(|row| self.tree.as_ref().is_none_or(|tree| tree.has(row.pid)))
            .filter_map(|row| {
                let facts = self.facts.get(&row.pid);
                let known: Vec<&ProcessFacts> = facts.into_iter().collect();
                let comm = row.comm.text();
                let candidate =
                    Candidate { socket: None, pids: &[row.pid], processes: &known, comm: &comm, direction: None };
                if !self.settings.filter.matches(&candidate) || self.ignores(&candidate) {
                    return None;
                }
                let limit = facts.and_then(|facts| facts.descriptor_limit);
                let growth = self.processes.growth(row.pid, limit);
                let placement = facts.map(|facts| facts.placement.clone()).unwrap_or_default();
                Some(Process {
                    pid: row.pid,
                    comm: facts.map_or_else(|| comm.to_string(), |facts| facts.comm.clone()),
                    exe: facts.and_then(|facts| facts.exe.clone()),
                    container: placement.container,
                    pod: placement.pod,
                    unit: placement.unit,
                    cgroup: placement.cgroup,
                    open: row.sockets.into(),
                    flagged: flagged.get(&row.pid).copied().unwrap_or(0),
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

/// Sums over call sites, which the filters have already reduced.
fn totals(callsites: &[Callsite]) -> Totals {
    let mut totals = Totals::default();
    for site in callsites {
        totals.sums.merge(&site.sums);
        totals.opened += site.opened;
        totals.closed += site.closed;
    }
    totals
}

fn top_peers(peers: HashMap<Peer, u64>) -> Vec<PeerCount> {
    let mut peers: Vec<PeerCount> = peers.into_iter().map(|(peer, open)| PeerCount { peer, open }).collect();
    peers.sort_by_cached_key(|count| (Reverse(count.open), count.peer.to_string()));
    peers.truncate(MOST_PEERS);
    peers
}

#[cfg(test)]
mod tests;
