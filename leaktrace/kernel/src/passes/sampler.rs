//! The passes of one sample: which run, in which order, in which namespaces, and what they found.

use super::{
    iterators::{self, Load, Rows},
    records::{RecordPass, Records},
    walks::Walks,
};
use crate::{
    error::StartError,
    host,
    maps::{MappedArray, map_array},
    namespaces::Namespaces,
    request::{HoldersPass, SampleRequest, Walk},
    rows::{nanoseconds, settings},
    sites::callsites::CallsiteTable,
};
use aya::{Btf, Ebpf};
use bytes::BytesMut;
use leaktrace_common::{HoldersProgress, Losses, PassSettings, PassTotals, emit};
use leaktrace_model::{Cost, Degradation, Shown};
use std::{
    io,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

/// How many sockets the passes of the first sample have seen so far. Any thread may read this.
#[derive(Clone)]
pub struct Adoption {
    totals: Arc<MappedArray<PassTotals>>,
    holding: Arc<MappedArray<HoldersProgress>>,
}

impl Adoption {
    /// Sockets so far.
    pub fn sockets(&self) -> u64 {
        let held = self.holding.get(0).map_or(0, |progress| progress.adopted);
        let passed = self.totals.get(0).map_or(0, |totals| totals.open + totals.orphans);
        held.max(passed)
    }
}

/// Searching for namespaces takes at most one part in this many of the time.
const NAMESPACE_SEARCH_SHARE: u32 = 100;

/// A sweep for stale records follows every this many holders passes.
const SWEEP_EVERY: u16 = 4;

/// A record younger than this is not swept.
const SWEEP_GRACE: Duration = Duration::from_secs(5);

/// Loads the programs of the passes.
///
/// # Errors
/// If the kernel refuses one.
pub(crate) fn load(ebpf: &mut Ebpf, btf: &Btf, has_rdonly_cast: bool) -> Result<Records, StartError> {
    Records::load(
        ebpf,
        btf,
        has_rdonly_cast,
        &[("pass_holders", Load::Over("task_file")), ("pass_sockets", Load::Over("tcp"))],
    )
}

/// How long a pass over sockets took.
#[derive(Clone, Copy, Default)]
struct PassTime {
    wall: Duration,
    cpu: Duration,
}

/// What only a walk over the kernel's tables finds out. It is used until the next walk.
#[derive(Clone, Copy, Default)]
struct Walked {
    took: PassTime,
    orphans: u64,
    orphan_memory_bytes: u64,
    namespaces: u32,
    refused: u32,
}

/// What the passes of one sample found.
#[derive(Default)]
pub(crate) struct Passed {
    /// Their rows.
    pub rows: Rows,
    /// Sums over all sockets.
    pub totals: PassTotals,
    /// What was lost since the start.
    pub losses: Losses,
    /// Reads that could not be decoded, since the start.
    pub damaged: u64,
    /// Settings of the last pass.
    pub settings: PassSettings,
    /// Descriptors that the holders pass saw, if there was one.
    pub descriptors: Option<u64>,
    /// What the passes cost.
    pub cost: Cost,
    /// What works less well than usual.
    pub degraded: Vec<Degradation>,
}

/// What the passes keep from one sample to the next.
pub(crate) struct Sampler {
    settings: MappedArray<PassSettings>,
    totals: Arc<MappedArray<PassTotals>>,
    holding: Arc<MappedArray<HoldersProgress>>,
    losses: MappedArray<Losses>,
    namespaces: Namespaces,
    next_search: Instant,
    walks: Walks,
    records: Records,
    /// What the last walk found.
    walked: Walked,
    /// How long the last pass over records took.
    by_records: PassTime,
    /// Sockets that the last pass found open.
    open: u64,
    buffer: BytesMut,
    pass: u16,
    held_pass: u16,
    damaged: u64,
}

impl Sampler {
    /// Takes the maps out of the loaded object.
    ///
    /// # Errors
    /// If a map is missing.
    pub(crate) fn new(ebpf: &mut Ebpf, records: Records, walk_every: Option<NonZeroU32>) -> Result<Self, StartError> {
        Ok(Self {
            settings: map_array(ebpf, "SETTINGS", 1)?,
            totals: Arc::new(map_array(ebpf, "TOTALS", 1)?),
            holding: Arc::new(map_array(ebpf, "HOLDING", 1)?),
            losses: map_array(ebpf, "LOSSES", 1)?,
            namespaces: Namespaces::default(),
            next_search: Instant::now(),
            walks: Walks::new(walk_every),
            records,
            walked: Walked::default(),
            by_records: PassTime::default(),
            open: 0,
            buffer: BytesMut::new(),
            pass: 0,
            held_pass: 0,
            damaged: 0,
        })
    }

    /// Whether all passes over records use lists, because the kernel refuses iterators over maps.
    pub(crate) fn goes_by_lists(&self) -> bool {
        self.records.are_always_listed()
    }

    /// A view of how far the first sample is.
    pub(crate) fn adoption(&self) -> Adoption {
        Adoption { totals: Arc::clone(&self.totals), holding: Arc::clone(&self.holding) }
    }

    /// Runs the passes of a sample taken at `boot_ns`. Afterwards the sums of call sites are in `sites`, everything else is in the result.
    ///
    /// # Errors
    /// If a pass cannot be run.
    pub(crate) fn run(
        &mut self,
        ebpf: &mut Ebpf,
        request: &SampleRequest,
        sites: &CallsiteTable,
        boot_ns: u64,
    ) -> Result<Passed, StartError> {
        let mut rows = Rows::default();
        let mut passed = Passed::default();
        let sample = &mut passed;
        if request.holders == HoldersPass::Run {
            self.held_pass = next_number(self.held_pass);
        }
        let is_first = self.pass == 0;
        self.begin_pass(request, sites, boot_ns);
        self.walks.save_cheap_ones(self.records.have_known_keys());
        let mut walk = request.walk == Walk::Now || self.walks.is_due();
        if walk {
            self.search_namespaces(request.holders);
        }
        if is_first && request.holders == HoldersPass::Run {
            // No socket has a record yet. The holders pass makes them at the call sites of the holders, and the walk adds them to the sums.
            self.pass_holders(ebpf, &mut rows, sample)?;
            self.walk(ebpf, &mut rows, sample)?;
        } else if walk {
            self.walk(ebpf, &mut rows, sample)?;
            if request.holders == HoldersPass::Run {
                self.pass_holders(ebpf, &mut rows, sample)?;
                if sample.totals.adopted > 0 {
                    // The holders pass has moved adopted sockets to other call sites: sum them there.
                    let dead: Vec<_> = rows.sockets.drain(..).filter(from_holder).collect();
                    self.begin_pass(request, sites, boot_ns);
                    self.walk(ebpf, &mut rows, sample)?;
                    rows.sockets.extend(dead);
                }
            }
        } else {
            self.pass_records(ebpf, &mut rows, sample)?;
            // Only a walk can give a socket its cookie, and a socket without a cookie cannot be closed.
            walk = self.walks.may_come_early() && rows.sockets.iter().any(|row| row.cookie == 0 && row.verdicts != 0);
            if walk {
                rows.sockets.clear();
                self.search_namespaces(request.holders);
                self.begin_pass(request, sites, boot_ns);
                self.walk(ebpf, &mut rows, sample)?;
            }
            if request.holders == HoldersPass::Run {
                self.pass_holders(ebpf, &mut rows, sample)?;
            }
        }
        let is_time = request.holders == HoldersPass::Run && self.held_pass.is_multiple_of(SWEEP_EVERY);
        if is_time || self.walks.left_some_out() {
            self.records.run(ebpf, RecordPass::Sweep, sample.totals.open, &mut self.buffer, &mut rows)?;
        }
        self.open = sample.totals.open;
        self.report_walks(walk, sample);
        rows.sockets.sort_unstable_by_key(|row| row.sk);
        rows.sockets.dedup_by_key(|row| row.sk);
        self.damaged += rows.damaged;
        passed.damaged = self.damaged;
        passed.losses = self.losses.get(0).unwrap_or_default();
        passed.settings = self.settings.get(0).unwrap_or_default();
        passed.rows = rows;
        Ok(passed)
    }

    /// Searches for network namespaces, which only walks need. They change rarely, and the search reads every process, so a search that
    /// takes longer is repeated less often.
    fn search_namespaces(&mut self, holders: HoldersPass) {
        let now = Instant::now();
        if now >= self.next_search || holders == HoldersPass::Run {
            let before = host::thread_cpu();
            self.namespaces = Namespaces::find();
            self.next_search = now + (host::thread_cpu() - before) * NAMESPACE_SEARCH_SHARE;
        }
    }

    /// Numbers a pass over sockets and gives the kernel side its settings.
    fn begin_pass(&mut self, request: &SampleRequest, sites: &CallsiteTable, now_ns: u64) {
        let next = next_number(self.pass);
        if next < self.pass {
            sites.forget_sums();
        }
        self.pass = next;
        let (emit_verdicts, emit) = match request.shown {
            Shown::With(verdicts) => (verdicts.0, 0),
            Shown::All => (0, emit::ALL),
        };
        let table = if self.walks.left_some_out() { emit::TABLE_FULL } else { 0 };
        self.settings.set(
            0,
            PassSettings {
                now_ns,
                sweep_before_ns: now_ns.saturating_sub(nanoseconds(SWEEP_GRACE)),
                emit_verdicts,
                emit: emit | table,
                pass: self.pass,
                held_pass: self.held_pass,
                ..settings(&request.limits)
            },
        );
        self.totals.set(0, PassTotals::default());
    }

    /// Runs the pass over every socket in the kernel's own tables, namespace by namespace.
    fn walk(&mut self, ebpf: &mut Ebpf, rows: &mut Rows, sample: &mut Passed) -> Result<(), StartError> {
        let (started, cpu_before) = (Instant::now(), host::thread_cpu());
        let (buffer, shared) = (&mut self.buffer, &self.totals);
        let visited = self.namespaces.visit_each(|_| {
            let totals = PassTotals { shown: 0, ..shared.get(0).unwrap_or_default() };
            shared.set(0, totals);
            iterators::run(ebpf, "pass_sockets", buffer, rows).map_err(io::Error::other)
        });
        let visited = visited.map_err(|error| StartError::Sample { reason: error.to_string() })?;
        let adopted = sample.totals.adopted;
        sample.totals = shared.get(0).unwrap_or_default();
        sample.totals.adopted += adopted;
        let took = PassTime { wall: started.elapsed(), cpu: host::thread_cpu() - cpu_before };
        self.walks.walked(took.cpu, sample.totals.unattributed);
        self.walked = Walked {
            took,
            orphans: sample.totals.orphans,
            orphan_memory_bytes: sample.totals.orphan_memory_bytes,
            namespaces: visited.entered,
            refused: visited.refused,
        };
        Ok(())
    }

    /// Runs the pass over every socket that has a record.
    fn pass_records(&mut self, ebpf: &mut Ebpf, rows: &mut Rows, sample: &mut Passed) -> Result<(), StartError> {
        let (started, cpu_before) = (Instant::now(), host::thread_cpu());
        self.records.run(ebpf, RecordPass::Sockets, self.open, &mut self.buffer, rows)?;
        sample.totals = PassTotals {
            orphans: self.walked.orphans,
            orphan_memory_bytes: self.walked.orphan_memory_bytes,
            ..self.totals.get(0).unwrap_or_default()
        };
        self.walks.went_by_records();
        self.by_records = PassTime { wall: started.elapsed(), cpu: host::thread_cpu() - cpu_before };
        Ok(())
    }

    /// Adds costs and the findings of the last walk to a sample; `now` if the sample has walked.
    fn report_walks(&self, now: bool, sample: &mut Passed) {
        let one_in = self.walks.every();
        let walks = (one_in > 1).then_some(leaktrace_model::Walks { one_in, now });
        let usual = if walks.is_some() && !self.by_records.cpu.is_zero() { self.by_records } else { self.walked.took };
        sample.cost.sockets = usual.wall;
        sample.cost.sockets_cpu = usual.cpu;
        sample.cost.walks = walks;
        sample.cost.namespaces = self.walked.namespaces;
        let (refused, hidden) = (self.walked.refused, self.namespaces.hidden());
        if refused > 0 || hidden > 0 {
            sample.degraded.push(Degradation::NamespacesMissing { refused, hidden });
        }
    }

    fn pass_holders(&mut self, ebpf: &mut Ebpf, rows: &mut Rows, sample: &mut Passed) -> Result<(), StartError> {
        let before = host::thread_cpu();
        self.holding.set(0, HoldersProgress::default());
        iterators::run(ebpf, "pass_holders", &mut self.buffer, rows)?;
        let descriptors = self.holding.get(0).map_or(0, |progress| progress.descriptors);
        sample.descriptors = Some(descriptors);
        sample.cost.holders = host::thread_cpu() - before;
        Ok(())
    }
}

fn from_holder(row: &leaktrace_common::SocketRow) -> bool {
    row.flags & leaktrace_common::row_flags::FROM_HOLDER != 0
}

/// The number after `number`, never 0. Numbers repeat after 65,535 passes: 18 hours at one per second.
fn next_number(number: u16) -> u16 {
    number.wrapping_add(1).max(1)
}
