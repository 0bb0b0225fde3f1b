//! The running kernel as a source of samples: the only module that knows what BPF is.
//!
//! [`Tracer`] loads and attaches the kernel side and takes samples. It holds every descriptor of ours, so that when the
//! process ends, however it ends, nothing of ours stays in the kernel. It enters network namespaces while it samples
//! and so belongs on a thread of its own.

pub mod btf;
mod callsites;
mod captures;
pub mod error;
pub mod facts;
pub mod hooks;
mod load;
mod log;
mod mapped;
pub mod namespaces;
mod passes;
mod preemption;
mod stacks;
mod sweep;
mod tree;

pub use error::StartError;
pub use hooks::{HookChoice, HookKind};
pub use load::{StackSample, Stacks};
pub use stacks::Unwind;

use crate::{
    host::{self, Clock, KernelRelease, Lockdown, ProcessFacts},
    privilege,
    sample::{Holders, Sample},
    snapshot::Degradation,
    symbols::{Images, Modules},
};
use aya::{
    Btf, Ebpf,
    maps::{Map, RingBuf},
};
use bytes::BytesMut;
use callsites::CallsiteTable;
use captures::Captures;
use facts::KernelFacts;
use leaktrace_common::{HoldersProgress, Losses, MAX_TREE, PassSettings, PassTotals, Verdicts, emit, span_from_ns};
use mapped::{MappedArray, take_map_data};
use namespaces::Namespaces;
use passes::Rows;
use stacks::StackReader;
use std::{
    collections::HashMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tree::TreeReader;

/// What to start with.
#[derive(Clone, Copy, Debug)]
pub struct TracerOptions {
    /// Which hooks.
    pub hooks: HookChoice,
    /// Stack capture.
    pub stacks: Stacks,
    /// Which unwinder.
    pub unwind: Unwind,
    /// How many sockets are attributed at once.
    pub max_sockets: u32,
    /// Level of kernel-side diagnostics: 0 for none, 5 for all.
    pub log_level: u8,
    /// The process whose tree is followed, and nothing else; `None` follows the host.
    pub tree: Option<u32>,
}

/// What one sample should contain.
#[derive(Clone, Copy, Debug)]
pub struct SampleRequest {
    /// Age from which a socket is long-lived.
    pub threshold: Duration,
    /// How long a stuck state must last.
    pub stall: Duration,
    /// How long without payload counts as idle.
    pub idle: Duration,
    /// Which sockets to show.
    pub rows: RowChoice,
    /// Whether to look at every descriptor as well.
    pub holders: HoldersPass,
}

/// Which sockets a sample shows one by one. All are counted either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowChoice {
    /// Those with one of these verdicts.
    With(Verdicts),
    /// Every open one.
    All,
}

/// Whether a sample includes a holders pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldersPass {
    /// Yes.
    Run,
    /// No: what the last one found still stands.
    Skip,
}

/// How many sockets the passes of the first sample have taken in so far; for any thread to look at.
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

/// The oldest kernel with all that is needed: `iter/tcp` came with 5.9.
const OLDEST_KERNEL: (u32, u32) = (5, 9);

/// Looking for namespaces may take this share of the time.
const NAMESPACE_SEARCH_SHARE: u32 = 100;

/// A sweep for stale records follows every this many holders passes.
const SWEEP_EVERY: u16 = 4;

/// A record younger than this is not swept.
const SWEEP_GRACE: Duration = Duration::from_secs(5);

/// The attached kernel side.
pub struct Tracer {
    ebpf: Ebpf,
    hooks: HookKind,
    degraded: Vec<Degradation>,
    callsites: CallsiteTable,
    stacks: StackReader,
    settings: MappedArray<PassSettings>,
    totals: Arc<MappedArray<PassTotals>>,
    holding: Arc<MappedArray<HoldersProgress>>,
    losses: MappedArray<Losses>,
    namespaces: Namespaces,
    next_search: Instant,
    buffer: BytesMut,
    pass: u16,
    held_pass: u16,
    damaged: u64,
    known: HashMap<u32, u64>,
    tree: Option<TreeReader>,
    log: log::KernelLog,
}

impl Tracer {
    /// Loads the kernel side and attaches the hooks.
    ///
    /// Modules of the stacks that samples carry are interned in `modules`; files behind them stay open in `images`.
    pub fn start(options: &TracerOptions, modules: Modules, images: Images) -> Result<Self, StartError> {
        let release = KernelRelease::running();
        if release.version != (0, 0) && release.version < OLDEST_KERNEL {
            return Err(StartError::KernelTooOld { release: release.text });
        }
        let missing: Vec<&str> = privilege::missing().iter().map(|capability| capability.name()).collect();
        if !missing.is_empty() {
            return Err(StartError::NotPrivileged { missing: missing.join(" and ") });
        }
        if Lockdown::running() == Lockdown::Confidentiality {
            return Err(StartError::LockedDown);
        }
        let facts = KernelFacts::of_running_kernel()?;
        if !facts.has_iterators {
            return Err(StartError::KernelTooOld { release: release.text });
        }
        let btf = Btf::from_sys_fs().map_err(|error| StartError::load(&error))?;
        let load_options = load::LoadOptions {
            stacks: options.stacks,
            copies: options.unwind != Unwind::Fp,
            max_sockets: options.max_sockets,
            log_level: options.log_level,
            tree: options.tree.is_some(),
        };
        let mut ebpf = load::load(&facts, &btf, release.version, &load_options)?;
        for (program, target) in
            [("pass_sockets", "tcp"), ("pass_holders", "task_file"), ("pass_sweep", "bpf_map_elem")]
        {
            passes::load(&mut ebpf, &btf, program, target)?;
        }
        // Call sites must be at hand before the first hook runs.
        let callsites = CallsiteTable::new(&mut ebpf, options.stacks)?;
        let captures = take_map_data(&mut ebpf, "CAPTURES").map_err(|error| StartError::internal(&error))?;
        let captures = RingBuf::try_from(Map::RingBuf(captures)).map_err(|error| StartError::internal(&error))?;
        let captures = Captures::start(captures).map_err(|error| StartError::internal(&error))?;
        let tree = match options.tree {
            Some(root) => {
                tree::hurry();
                hooks::attach_tree(&mut ebpf, &btf)?;
                Some(TreeReader::new(&mut ebpf, root, Clock::now().boot_ns)?)
            }
            None => None,
        };
        let (hooks, degraded) = hooks::attach(&mut ebpf, &btf, &facts, options.hooks)?;
        drop(btf);
        give_memory_back();
        Ok(Self {
            hooks,
            degraded,
            callsites,
            stacks: StackReader::new(options.unwind, captures, modules, images),
            settings: map_array(&mut ebpf, "SETTINGS")?,
            totals: Arc::new(map_array(&mut ebpf, "TOTALS")?),
            holding: Arc::new(map_array(&mut ebpf, "HOLDING")?),
            losses: map_array(&mut ebpf, "LOSSES")?,
            namespaces: Namespaces::default(),
            next_search: Instant::now(),
            buffer: BytesMut::new(),
            pass: 0,
            held_pass: 0,
            damaged: 0,
            known: HashMap::new(),
            tree,
            log: log::KernelLog::new(&mut ebpf, options.log_level),
            ebpf,
        })
    }

    /// Which hooks are attached.
    pub fn hooks(&self) -> HookKind {
        self.hooks
    }

    /// Rests until a call site is new, or `longest` is over.
    pub fn wait_for_new(&self, longest: Duration) {
        self.stacks.wait(longest);
    }

    /// Places the stacks of call sites that are new. Cheap enough to be called many times between samples.
    pub fn place_new(&mut self) -> Result<(), StartError> {
        if let Some(tree) = &mut self.tree {
            tree.receive();
        }
        self.callsites.place_new(&mut self.stacks)
    }

    /// How far the first sample is.
    pub fn adoption(&self) -> Adoption {
        Adoption { totals: Arc::clone(&self.totals), holding: Arc::clone(&self.holding) }
    }

    /// How many processes of the tree run that is followed; 0 where none is.
    pub fn running(&self) -> usize {
        self.tree.as_ref().map_or(0, TreeReader::running)
    }

    /// Takes one sample. Blocks for as long as the passes take: about a microsecond a socket.
    pub fn sample(&mut self, request: &SampleRequest) -> Result<Sample, StartError> {
        self.log.flush();
        let clock = Clock::now();
        let mut sample = Sample { boot_ns: clock.boot_ns, unix_ns: clock.unix_ns, ..Sample::default() };
        let mut rows = Rows::default();
        self.search_namespaces(request.holders);
        if request.holders == HoldersPass::Run {
            self.held_pass = next_number(self.held_pass);
        }
        let is_first = self.pass == 0;
        self.begin_pass(request, sample.boot_ns);
        if is_first && request.holders == HoldersPass::Run {
            // Nothing has a record yet. This pass makes them at the call sites of the holders, where the next sums them.
            self.pass_holders(&mut rows, &mut sample)?;
            self.pass_sockets(&mut rows, &mut sample)?;
        } else {
            self.pass_sockets(&mut rows, &mut sample)?;
            if request.holders == HoldersPass::Run {
                self.pass_holders(&mut rows, &mut sample)?;
                if sample.totals.adopted > 0 {
                    // The holders pass has just placed adopted sockets: sum them where they belong now.
                    let dead: Vec<_> = rows.sockets.drain(..).filter(from_holder).collect();
                    self.begin_pass(request, sample.boot_ns);
                    self.pass_sockets(&mut rows, &mut sample)?;
                    rows.sockets.extend(dead);
                }
            }
        }
        rows.sockets.sort_unstable_by_key(|row| row.sk);
        rows.sockets.dedup_by_key(|row| row.sk);
        self.damaged += rows.damaged;
        sample.damaged = self.damaged;
        sample.losses = self.losses.get(0).unwrap_or_default();
        sample.limits = self.settings.get(0).unwrap_or_default();
        self.callsites.collect(&mut sample, &mut self.stacks)?;
        // After the call sites: an index that was given back just now belongs to a process that is gone, whose last words
        // are there.
        sample.tree = self.tree.as_mut().map(|tree| tree.collect(sample.boot_ns));
        if sample.tree.as_ref().is_some_and(|tree| tree.processes.len() >= MAX_TREE as usize) {
            sample.degraded.push(Degradation {
                feature: "run".to_owned(),
                reason: format!("more than {MAX_TREE} processes ran at a time, and some were not followed"),
            });
        }
        sample.degraded.extend(self.callsites.degradation(&sample));
        sample.processes = self.new_processes(&sample, &rows);
        sample.sockets = rows.sockets;
        if let Some(holders) = &mut sample.holders {
            holders.rows = rows.holders;
            holders.processes = rows.processes;
        }
        sample.degraded.extend(self.degraded.iter().cloned());
        sample.tcp_memory_bytes = host::tcp_memory_bytes();
        sample.cost.cpu = host::own_cpu();
        sample.cost.rss_bytes = host::own_rss_bytes();
        Ok(sample)
    }

    /// Namespaces come and go seldom and finding them costs a look at every process: the dearer, the less often.
    fn search_namespaces(&mut self, holders: HoldersPass) {
        let now = Instant::now();
        if now >= self.next_search || holders == HoldersPass::Run {
            let before = host::thread_cpu();
            self.namespaces = Namespaces::find();
            self.next_search = now + (host::thread_cpu() - before) * NAMESPACE_SEARCH_SHARE;
        }
    }

    /// Numbers a pass over sockets and tells the kernel side what to look for.
    fn begin_pass(&mut self, request: &SampleRequest, now_ns: u64) {
        self.pass = next_number(self.pass);
        let nanoseconds = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let (emit_verdicts, emit) = match request.rows {
            RowChoice::With(verdicts) => (verdicts.0, 0),
            RowChoice::All => (0, emit::ALL),
        };
        self.settings.set(
            0,
            PassSettings {
                now_ns,
                sweep_before_ns: now_ns.saturating_sub(nanoseconds(SWEEP_GRACE)),
                threshold_ns: nanoseconds(request.threshold),
                stall: span_from_ns(nanoseconds(request.stall)),
                idle: span_from_ns(nanoseconds(request.idle)),
                emit_verdicts,
                emit,
                pass: self.pass,
                held_pass: self.held_pass,
                _pad: 0,
            },
        );
        self.totals.set(0, PassTotals::default());
    }

    fn pass_sockets(&mut self, rows: &mut Rows, sample: &mut Sample) -> Result<(), StartError> {
        let (started, cpu_before) = (Instant::now(), host::thread_cpu());
        let (ebpf, buffer, shared) = (&mut self.ebpf, &mut self.buffer, &self.totals);
        let visited = self.namespaces.visit_each(|_| {
            let totals = PassTotals { shown: 0, ..shared.get(0).unwrap_or_default() };
            shared.set(0, totals);
            passes::run(ebpf, "pass_sockets", buffer, rows).map_err(io::Error::other)
        });
        let visited = visited.map_err(|error| StartError::Sample { reason: error.to_string() })?;
        let adopted = sample.totals.adopted;
        sample.totals = shared.get(0).unwrap_or_default();
        sample.totals.adopted += adopted;
        sample.cost.sockets += started.elapsed();
        sample.cost.sockets_cpu += host::thread_cpu() - cpu_before;
        sample.cost.namespaces = visited.entered;
        if visited.refused > 0 {
            sample.degraded.push(Degradation {
                feature: "namespaces".to_owned(),
                reason: format!(
                    "{} network namespaces could not be entered, their sockets are missing: leaktrace needs CAP_SYS_ADMIN \
                     for that",
                    visited.refused
                ),
            });
        }
        Ok(())
    }

    fn pass_holders(&mut self, rows: &mut Rows, sample: &mut Sample) -> Result<(), StartError> {
        let before = host::thread_cpu();
        self.holding.set(0, HoldersProgress::default());
        passes::run(&mut self.ebpf, "pass_holders", &mut self.buffer, rows)?;
        let descriptors = self.holding.get(0).map_or(0, |progress| progress.descriptors);
        sample.holders = Some(Holders { descriptors, ..Holders::default() });
        sample.cost.holders = host::thread_cpu() - before;
        if self.held_pass.is_multiple_of(SWEEP_EVERY) {
            self.sweep()?;
        }
        Ok(())
    }

    fn sweep(&mut self) -> Result<(), StartError> {
        passes::run_over_map(&mut self.ebpf, "pass_sweep", "SOCKETS", &mut self.buffer)
    }

    /// Facts about processes that are mentioned and have not been told yet. A process id is told again when another
    /// process has it.
    fn new_processes(&mut self, sample: &Sample, rows: &Rows) -> Vec<ProcessFacts> {
        let mut mentioned: Vec<u32> = sample.callsites.iter().map(|(_, site)| site.key.tgid).collect();
        mentioned.extend(rows.processes.iter().map(|row| row.tgid));
        mentioned.extend(rows.holders.iter().map(|row| row.tgid));
        mentioned.sort_unstable();
        mentioned.dedup();
        self.known.retain(|pid, _| mentioned.binary_search(pid).is_ok());
        let mut facts = Vec::new();
        for pid in mentioned {
            let tell_again = sample.holders.is_some();
            if pid == 0 || (self.known.contains_key(&pid) && !tell_again) {
                continue;
            }
            if let Some(process) = ProcessFacts::read(pid) {
                self.known.insert(pid, process.started);
                facts.push(process);
            } else {
                self.known.entry(pid).or_insert(0);
            }
        }
        facts
    }
}

/// The kernel's types take tens of megabytes while they are read, which the allocator would keep.
fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call has no conditions.
    unsafe {
        libc::malloc_trim(0)
    };
}

fn from_holder(row: &leaktrace_common::SocketRow) -> bool {
    row.flags & leaktrace_common::row_flags::FROM_HOLDER != 0
}

/// Counts up, leaving out 0.
fn next_number(number: u16) -> u16 {
    number.wrapping_add(1).max(1)
}

fn map_array<T: zerocopy::FromBytes + zerocopy::IntoBytes + Copy>(
    ebpf: &mut Ebpf,
    name: &str,
) -> Result<MappedArray<T>, StartError> {
    let data = take_map_data(ebpf, name).map_err(|error| StartError::internal(&error))?;
    MappedArray::new(data, 1).map_err(|error| StartError::internal(&error))
}
