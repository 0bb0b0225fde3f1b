//! [`Tracer`]: starting the kernel side, and taking one sample after the other from it.
//!
//! The order of the start matters and is decided here. What a part does is in that part.

use crate::{
    attach::{
        facts::{self, KernelFacts},
        hooks::{self, Attached},
        load::{self, LoadOptions},
    },
    error::StartError,
    host::{self, KernelRelease, Lockdown},
    maps::take_map_data,
    passes::sampler::{self, Adoption, Sampler},
    pid_namespace, privilege,
    processes::ReportedProcesses,
    request::{HookChoice, SampleRequest, Stacks},
    rows,
    sites::{callsites::CallsiteTable, captures::Captures, stacks::StackReader},
    tree::{self, TreeReader},
};
use aya::{
    Btf, Ebpf,
    maps::{Map, RingBuf},
};
use leaktrace_common::MAX_TREE;
use leaktrace_model::{Degradation, Holders, HookKind, Place, Sample, Unwind};
use std::{num::NonZeroU32, time::Duration};

/// What to start with.
#[derive(Clone, Copy, Debug)]
pub struct TracerOptions {
    /// Which kind of hooks to use.
    pub hooks: HookChoice,
    /// Whether stacks are captured.
    pub stacks: Stacks,
    /// Which unwinder.
    pub unwind: Unwind,
    /// Size of the table of sockets: more than this many open sockets have no opener.
    pub max_sockets: u32,
    /// One pass in this many walks the kernel's own tables; with `None` the cost of a walk decides.
    pub walk_every: Option<NonZeroU32>,
    /// The process whose tree is followed and nothing else; `None` follows the whole host.
    pub tree: Option<u32>,
}

/// The attached kernel side, until it is dropped.
pub struct Tracer {
    ebpf: Ebpf,
    attached: Attached,
    callsites: CallsiteTable,
    stacks: StackReader,
    sampler: Sampler,
    reported: ReportedProcesses,
    tree: Option<TreeReader>,
}

impl Tracer {
    /// Loads the kernel side and attaches the hooks. `place` names the locations of stacks.
    pub fn start(options: &TracerOptions, place: Box<dyn Place>) -> Result<Self, StartError> {
        let release = KernelRelease::running();
        if release.version != (0, 0) && release.version < facts::OLDEST {
            return Err(StartError::KernelTooOld { release: release.text });
        }
        let missing: Vec<&str> = privilege::missing().iter().map(|capability| capability.name()).collect();
        if !missing.is_empty() {
            return Err(StartError::NotPrivileged { missing: missing.join(" and ") });
        }
        if Lockdown::running() == Lockdown::Confidentiality {
            return Err(StartError::LockedDown);
        }
        if pid_namespace::is_own() {
            return Err(StartError::PidNamespace);
        }
        let facts = KernelFacts::of_running_kernel()?;
        if !facts.has_iterators {
            return Err(StartError::KernelTooOld { release: release.text });
        }
        let btf = Btf::from_sys_fs().map_err(|error| StartError::load(&error))?;
        let load_options = LoadOptions {
            stacks: options.stacks,
            copies: options.unwind != Unwind::Fp,
            max_sockets: options.max_sockets,
            tree: options.tree.is_some(),
        };
        let mut ebpf = load::load(&facts, &btf, &load_options)?;
        let records = sampler::load(&mut ebpf, &btf, facts.rdonly_cast.is_some())?;
        // There must be free call sites before the first hook runs.
        let callsites = CallsiteTable::new(&mut ebpf, options.stacks)?;
        let captures = take_map_data(&mut ebpf, "CAPTURES").map_err(|error| StartError::internal(&error))?;
        let captures = RingBuf::try_from(Map::RingBuf(captures)).map_err(|error| StartError::internal(&error))?;
        let captures = Captures::start(captures).map_err(|error| StartError::internal(&error))?;
        let tree = match options.tree {
            Some(root) => {
                tree::hurry();
                hooks::attach_tree(&mut ebpf, &btf, &facts)?;
                Some(TreeReader::new(&mut ebpf, root, host::now().boot_ns)?)
            }
            None => None,
        };
        // Without `bpf_rdonly_cast`, reading sockets by their address is expensive: walk every time, unless the user has set a period.
        // Lists are not used for that at all.
        let walk_every = match facts.rdonly_cast {
            Some(_) => options.walk_every,
            None if records.are_always_listed() => Some(NonZeroU32::MIN),
            None => options.walk_every.or(Some(NonZeroU32::MIN)),
        };
        let sampler = Sampler::new(&mut ebpf, records, walk_every)?;
        let attached = hooks::attach(&mut ebpf, &btf, &facts, options.hooks)?;
        drop(btf);
        // Reading the kernel's types has taken tens of megabytes.
        host::give_memory_back();
        Ok(Self {
            attached,
            callsites,
            stacks: StackReader::new(captures, place),
            sampler,
            reported: ReportedProcesses::default(),
            tree,
            ebpf,
        })
    }

    /// Which hooks are attached.
    pub fn hooks(&self) -> HookKind {
        self.attached.kind
    }

    /// Whether all passes over records use lists, because the kernel refuses iterators over maps.
    pub fn goes_by_lists(&self) -> bool {
        self.sampler.goes_by_lists()
    }

    /// Waits until there is a new call site, this thread is unparked, or `longest` has passed.
    pub fn wait_for_new(&self, longest: Duration) {
        self.stacks.wait(longest);
    }

    /// Places the stacks of new call sites. Cheap enough to be called many times between samples.
    pub fn place_new(&mut self) -> Result<(), StartError> {
        if let Some(tree) = &mut self.tree {
            tree.receive();
        }
        self.callsites.place_new(&mut self.stacks)
    }

    /// Drops what placing stacks has not needed since the last call. Returns whether there was anything.
    pub fn forget_unused(&mut self) -> bool {
        self.stacks.forget_unused()
    }

    /// A view of how far the first sample is.
    pub fn adoption(&self) -> Adoption {
        self.sampler.adoption()
    }

    /// How many processes of the followed tree are running; 0 if no tree is followed.
    pub fn running(&self) -> usize {
        self.tree.as_ref().map_or(0, TreeReader::running)
    }

    /// Takes one sample. Blocks while the passes run: up to a microsecond for each socket.
    pub fn sample(&mut self, request: &SampleRequest) -> Result<Sample, StartError> {
        let at = host::now();
        let passed = self.sampler.run(&mut self.ebpf, request, &self.callsites, at.boot_ns)?;
        let rows = &passed.rows;
        let mut sample = Sample {
            at,
            pass: rows::pass(&passed.settings),
            totals: rows::totals(&passed.totals),
            lost: rows::lost(&passed.losses, passed.damaged),
            stale_records: passed.losses.stale_records,
            sockets: rows.sockets.iter().map(rows::observed).collect(),
            holders: passed.descriptors.map(|descriptors| Holders {
                rows: rows.holders.iter().map(rows::holder).collect(),
                processes: rows.processes.iter().map(rows::holder_process).collect(),
                descriptors,
            }),
            degraded: passed.degraded,
            cost: passed.cost,
            ..Sample::default()
        };
        self.callsites.collect(&mut sample, &mut self.stacks)?;
        // After the call sites: if an index was freed just now, its process is gone, and the last sockets of that process are in the tree.
        sample.tree = self.tree.as_mut().map(|tree| tree.collect(at.boot_ns));
        if sample.tree.as_ref().is_some_and(|tree| tree.processes.len() >= MAX_TREE as usize) {
            sample.degraded.push(Degradation::TreeFull { most: MAX_TREE });
        }
        sample.degraded.extend(self.callsites.degradation(&sample));
        sample.processes = self.reported.new_processes(&sample, rows);
        sample.degraded.extend(self.attached.degraded.iter().cloned());
        sample.tcp_memory_bytes = host::tcp_memory_bytes();
        sample.cost.cpu = host::own_cpu();
        sample.cost.rss_bytes = host::own_rss_bytes();
        Ok(sample)
    }
}
