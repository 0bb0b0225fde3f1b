//! The tracker: takes in samples, and keeps what snapshots need.

mod histories;
mod matching;
mod report;
mod sockets;
mod tree_report;

use crate::{groups, processes::Processes, sites::Sites, tree::Tree};
use leaktrace_model::{
    Cost, Degradation, Direction, Filter, Hooks, Host, HostTotals, Limits, Location, Lost, Moment, NamerHealth,
    Observed, Pass, ProcessFacts, Sample, SeenBy, Settings, Severity, Shown, Verdicts,
};
use std::collections::{BTreeSet, HashMap};

/// Most names of call sites that are kept before those of forgotten call sites are dropped.
const MOST_NAMED: usize = 65_536;

/// Everything that is known so far.
#[derive(Clone, Debug)]
pub struct Tracker {
    host: Host,
    hooks: Hooks,
    settings: Settings,
    ignore: Vec<Filter>,
    window_start: Option<Moment>,
    now: Moment,
    sites: Sites,
    by_name: HashMap<(Direction, String, Option<String>, u64), u64>,
    facts: HashMap<u32, ProcessFacts>,
    processes: Processes,
    peers: groups::Histories,
    /// Sockets of the last sampling pass.
    rows: Vec<Observed>,
    /// Sockets that only the last holders pass saw: TCP has finished with them.
    dead: Vec<Observed>,
    /// Time of that pass. The ages of these sockets count from it.
    dead_ns: u64,
    pass: Pass,
    totals: HostTotals,
    lost: Lost,
    degraded: BTreeSet<Degradation>,
    namer: Option<NamerHealth>,
    tcp_memory_bytes: Option<u64>,
    cost: Cost,
    flagged: HashMap<u64, Verdicts>,
    resolved: u64,
    tree: Option<Tree>,
}

/// What a tracker starts with.
#[derive(Clone, Debug, Default)]
pub struct TrackerOptions {
    /// The machine.
    pub host: Host,
    /// Where samples come from.
    pub hooks: Hooks,
    /// The thresholds and filters in force.
    pub settings: Settings,
    /// What is left out on purpose: everything that matches one of these.
    pub ignore: Vec<Filter>,
    /// When watching began.
    pub started: Option<Moment>,
    /// An empty one if only the tree of a command is followed.
    pub tree: Option<Tree>,
}

impl Tracker {
    /// A tracker that knows nothing yet.
    pub fn new(options: TrackerOptions) -> Self {
        Self {
            host: options.host,
            hooks: options.hooks,
            settings: options.settings,
            ignore: options.ignore,
            window_start: options.started,
            now: Moment::default(),
            sites: Sites::default(),
            by_name: HashMap::new(),
            facts: HashMap::new(),
            processes: Processes::default(),
            peers: groups::Histories::default(),
            rows: Vec::new(),
            dead: Vec::new(),
            dead_ns: 0,
            pass: Pass::default(),
            totals: HostTotals::default(),
            lost: Lost::default(),
            degraded: BTreeSet::new(),
            namer: None,
            tcp_memory_bytes: None,
            cost: Cost::default(),
            flagged: HashMap::new(),
            resolved: 0,
            tree: options.tree,
        }
    }

    /// Sets the thresholds that reports name from now on. Samples are judged elsewhere.
    pub fn set_limits(&mut self, limits: Limits) {
        self.settings.limits = limits;
    }

    /// Takes in one sample.
    pub fn ingest(&mut self, sample: Sample) {
        self.now = sample.at;
        self.window_start.get_or_insert(self.now);
        for facts in &sample.processes {
            self.facts.insert(facts.pid, facts.clone());
        }
        self.sites.ingest(&sample, &self.facts);
        if let Some(holders) = &sample.holders {
            self.processes.ingest(leaktrace_model::seconds(self.now.boot_ns), holders);
        }
        let has_holders = sample.holders.is_some();
        let (dead, rows): (Vec<_>, Vec<_>) = sample.sockets.into_iter().partition(|row| row.seen_by == SeenBy::Holders);
        self.rows = rows;
        if has_holders {
            (self.dead, self.dead_ns) = (dead, self.now.boot_ns);
            // A socket that two descriptors refer to is shown twice.
            self.dead.sort_unstable_by_key(|row| row.sk);
            self.dead.dedup_by_key(|row| row.sk);
        }
        self.pass = sample.pass;
        self.totals = sample.totals;
        self.lost = sample.lost;
        self.tcp_memory_bytes = sample.tcp_memory_bytes.or(self.tcp_memory_bytes);
        // A sample without a holders pass has no cost of one, so the last cost stays.
        let holders = if has_holders { sample.cost.holders } else { self.cost.holders };
        self.cost = Cost { holders, ..sample.cost };
        self.degraded = sample.degraded.into_iter().collect();
        self.namer = sample.namer;
        self.remember();
        self.count_resolved();
        self.ingest_tree(sample.tree);
        self.forget_processes();
    }

    /// Where the frames of a call site's stack are, leaf first.
    pub fn stack_of(&self, callsite: u64) -> &[Location] {
        self.sites.get(callsite).map_or(&[], |site| &site.stack)
    }

    /// Merges new call sites into known ones with the same names. `name` gives a number that is equal for equal names,
    /// or `None` without names to compare.
    pub fn unite_by_name(&mut self, mut name: impl FnMut(&[Location]) -> Option<u64>) {
        for id in self.sites.take_unnamed() {
            let Some(site) = self.sites.get(id) else { continue };
            let Some(names) = name(&site.stack) else { continue };
            let key = (site.direction, site.comm.clone(), site.exe.clone(), names);
            match self.by_name.get(&key) {
                Some(known) if self.sites.get(*known).is_some() => self.sites.unite(id, *known),
                _ => {
                    self.by_name.insert(key, id);
                }
            }
        }
        // Call sites are forgotten, and processes may invent new names forever.
        if self.by_name.len() > MOST_NAMED {
            self.by_name.retain(|_, id| self.sites.get(*id).is_some());
        }
    }

    /// Sockets open at the last sample, as the kernel side counted them.
    pub fn open_sockets(&self) -> u64 {
        self.totals.sums.open
    }

    /// Whether the last sample shows every open socket.
    fn sees_all(&self) -> bool {
        self.pass.shown == Shown::All
    }

    /// Counts verdicts that are gone since the sample before. Compares only verdicts that samples always show.
    fn count_resolved(&mut self) {
        let lasting = Verdicts::at_least(Severity::Suspect);
        let mut flagged = HashMap::new();
        for row in self.rows.iter().chain(&self.dead) {
            let verdicts = row.verdicts.and(lasting);
            if !verdicts.is_empty() && self.passes(row) {
                flagged.insert(row.sk, verdicts);
            }
        }
        for (sk, before) in &self.flagged {
            let now = flagged.get(sk).copied().unwrap_or_default();
            self.resolved += u64::from((before.0 & !now.0).count_ones());
        }
        self.flagged = flagged;
    }

    /// Keeps facts about processes only while something refers to them.
    fn forget_processes(&mut self) {
        const MANY: usize = 65_536;
        if self.facts.len() > MANY {
            let named: BTreeSet<u32> = self.sites.iter().flat_map(|site| site.pids.iter().copied()).collect();
            let processes = &self.processes;
            self.facts.retain(|pid, _| named.contains(pid) || processes.holds(*pid));
        }
    }
}

#[cfg(test)]
mod tests;
