//! Places the stacks that the hooks captured, once for each new call site, while the process runs.
//!
//! Decides between the walk by frame pointers and the walk by unwind tables. Must not name functions: the symbolizer does.

use super::{
    fetch::Fetch,
    image::Images,
    process::ProcessMaps,
    stacks::{PlacedStack, Stacks},
    trust::Trust,
};
use leaktrace_model::{CallsiteStack, Modules, NewSite, Place, StackQuality, StackReason, Unwind};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Most processes whose [`Trust`] is cached.
const MOST_PROCESSES: usize = 16_384;

/// Most processes whose mappings are kept after they were read.
const MOST_RECENT: usize = 64;

/// How long mappings are kept. Short enough that the kernel does not reuse the process id meanwhile.
const RECENT: Duration = Duration::from_secs(60);

/// Places stacks, by frame pointers or by unwind tables as each process needs.
pub struct Placer {
    unwind: Unwind,
    fetch: Arc<dyn Fetch>,
    stacks: Stacks,
    /// Trust by process id, with the process's start time: a reused id has another one.
    trusted: HashMap<u32, (u64, Trust)>,
    /// The mappings of recent processes. A call site that opens a socket right before its process exits is placed with them.
    recent: HashMap<u32, (Instant, ProcessMaps)>,
}

impl Place for Placer {
    fn place_all(&mut self, pid: u32, sites: &[NewSite<'_>]) -> Vec<CallsiteStack> {
        let mut maps = match ProcessMaps::read_by(&self.fetch, pid) {
            Ok(maps) if !maps.is_empty() => Some(maps),
            _ => self.recent.remove(&pid).filter(|(seen, _)| seen.elapsed() < RECENT).map(|(_, maps)| maps),
        };
        let placed = sites.iter().map(|site| self.place(site, maps.as_mut())).collect();
        if let Some(maps) = maps {
            self.remember(pid, maps);
        }
        placed
    }

    fn note_process(&mut self, pid: u32) {
        if let Ok(maps) = ProcessMaps::read_by(&self.fetch, pid) {
            self.remember(pid, maps);
        }
    }

    fn forget_unused(&mut self) -> bool {
        let count = self.recent.len();
        self.recent.retain(|_, (seen, _)| seen.elapsed() < RECENT);
        self.stacks.forget_unused() || self.recent.len() < count
    }
}

impl Placer {
    /// A placer that walks by `unwind`. Modules of the stacks are interned in `modules`; their files stay open in `images`.
    pub fn new(unwind: Unwind, modules: Modules, images: Images) -> Self {
        let fetch = Arc::clone(images.fetch());
        Self { unwind, fetch, stacks: Stacks::new(modules, images), trusted: HashMap::new(), recent: HashMap::new() }
    }

    /// Keeps the mappings of a process for when it has exited. Drops the oldest if there are too many.
    fn remember(&mut self, pid: u32, maps: ProcessMaps) {
        if maps.is_empty() {
            return;
        }
        if self.recent.len() >= MOST_RECENT
            && let Some(oldest) = self.recent.iter().min_by_key(|(_, (seen, _))| *seen).map(|(pid, _)| *pid)
        {
            self.recent.remove(&oldest);
        }
        self.recent.insert(pid, (Instant::now(), maps));
    }

    fn place(&mut self, site: &NewSite<'_>, maps: Option<&mut ProcessMaps>) -> CallsiteStack {
        let NewSite { callsite, ref chain, ref copy } = *site;
        let Some(maps) = maps else {
            return located(callsite, Stacks::place_without_process(chain.frames));
        };
        let trust = self.trust_of(maps);
        let by_table = match self.unwind {
            Unwind::Fp => false,
            Unwind::Dwarf => true,
            Unwind::Auto => trust != Trust::Everywhere,
        };
        let mut placed = self.stacks.place_chain(maps, chain);
        match copy.as_ref().filter(|_| by_table) {
            Some(copy) => {
                let walked = self.stacks.place_copy(maps, copy);
                let complete = walked.quality == StackQuality::Complete;
                if complete || trust == Trust::Nowhere || walked.locations.len() > placed.locations.len() {
                    placed = walked;
                }
            }
            None if trust == Trust::Nowhere && placed.quality != StackQuality::Missing => {
                placed.quality = StackQuality::Truncated;
                placed.reason = Some(if by_table { StackReason::NoCopy } else { StackReason::NoFramePointers });
            }
            None => {}
        }
        located(callsite, placed)
    }

    fn trust_of(&mut self, maps: &mut ProcessMaps) -> Trust {
        let (pid, started) = (maps.pid(), maps.started_ticks());
        if let Some((known, trust)) = self.trusted.get(&pid)
            && *known == started
        {
            return *trust;
        }
        let trust = self.stacks.trust(maps);
        if self.trusted.len() >= MOST_PROCESSES {
            self.trusted.clear();
        }
        self.trusted.insert(pid, (started, trust));
        trust
    }
}

fn located(callsite: u32, placed: PlacedStack) -> CallsiteStack {
    let PlacedStack { locations, quality, reason } = placed;
    CallsiteStack { callsite, locations, quality, reason }
}
