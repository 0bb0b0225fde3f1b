//! From what the hooks captured to places in files: once for each new call site, while its process is still there.

use super::captures::Captures;
use crate::{
    sample::CallsiteStack,
    snapshot::StackQuality,
    symbols::{Images, Modules, PlacedStack, ProcessMaps, Stacks, Trust},
};
use leaktrace_common::{CallsiteKey, StackCapture, StackEntry};
use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

/// Most processes whose trust is remembered.
const MOST_PROCESSES: usize = 16_384;

/// Most processes whose mappings are remembered for a moment.
const MOST_RECENT: usize = 64;

/// How long: an id is not given to the next process so soon.
const RECENT: Duration = Duration::from_secs(60);

/// Which unwinder names the callers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Unwind {
    /// By frame pointers where a process keeps them, by unwind tables elsewhere.
    #[default]
    Auto,
    /// By frame pointers only.
    Fp,
    /// By unwind tables only.
    Dwarf,
}

/// A call site whose stack is to be placed.
pub struct NewSite {
    /// Its index.
    pub callsite: u32,
    /// What the hook found by frame pointers.
    pub entry: StackEntry,
    /// The copy of its stack, if there is one by now.
    pub copy: Option<Box<StackCapture>>,
}

/// Reads stacks.
pub struct StackReader {
    unwind: Unwind,
    captures: Captures,
    stacks: Stacks,
    /// Trust by process, with the start time that tells a reused id apart.
    trusted: HashMap<u32, (u64, Trust)>,
    /// The latest look at some processes: what a process opens right before its end is placed after it.
    recent: HashMap<u32, (Instant, ProcessMaps)>,
}

impl StackReader {
    /// Takes stacks from `captures`; modules are interned in `modules`.
    pub fn new(unwind: Unwind, captures: Captures, modules: Modules, images: Images) -> Self {
        Self { unwind, captures, stacks: Stacks::new(modules, images), trusted: HashMap::new(), recent: HashMap::new() }
    }

    /// Drops what placing has not needed since the last call; says whether there was anything.
    pub fn forget_unused(&mut self) -> bool {
        let count = self.recent.len();
        self.recent.retain(|_, (seen, _)| seen.elapsed() < RECENT);
        self.stacks.forget_unused() || self.recent.len() < count
    }

    /// Rests until the hooks have copied something, somebody unparks this thread, or `longest` is over.
    pub fn wait(&self, longest: Duration) {
        self.captures.wait(longest);
    }

    /// Copies that wait to be placed, `most` of the process whose copy has waited longest; none when none waits.
    pub fn take_copies(&mut self, most: usize) -> Vec<Box<StackCapture>> {
        for pid in self.captures.take_execs() {
            if let Ok(maps) = ProcessMaps::read(pid) {
                self.remember(pid, maps);
            }
        }
        self.captures.take_process(most)
    }

    /// Call sites that the hooks have told of because they open many sockets.
    pub fn take_busy(&self) -> BTreeSet<u32> {
        self.captures.take_busy()
    }

    /// The copy of this call site's stack, if it has come.
    pub fn take_copy(&self, callsite: u32, key: &CallsiteKey) -> Option<Box<StackCapture>> {
        self.captures.take_of(callsite).filter(|copy| copy.tgid == key.tgid)
    }

    /// Places the stacks of new call sites of process `tgid`, which share a look at it.
    pub fn place_all(&mut self, tgid: u32, sites: Vec<NewSite>) -> Vec<CallsiteStack> {
        let mut maps = match ProcessMaps::read(tgid) {
            Ok(maps) if !maps.is_empty() => Some(maps),
            _ => self.recent.remove(&tgid).filter(|(seen, _)| seen.elapsed() < RECENT).map(|(_, maps)| maps),
        };
        let placed = sites.iter().map(|site| self.place(site, maps.as_mut())).collect();
        if let Some(maps) = maps {
            self.remember(tgid, maps);
        }
        placed
    }

    /// Keeps a look at a process for when it is gone; the oldest gives way.
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

    fn place(&mut self, site: &NewSite, maps: Option<&mut ProcessMaps>) -> CallsiteStack {
        let NewSite { callsite, ref entry, ref copy } = *site;
        let Some(maps) = maps else {
            let len = (entry.len as usize).min(entry.frames.len());
            return located(callsite, Stacks::place_without_process(&entry.frames[..len]));
        };
        let trust = self.trust_of(maps);
        let by_table = match self.unwind {
            Unwind::Fp => false,
            Unwind::Dwarf => true,
            Unwind::Auto => trust != Trust::Everywhere,
        };
        let mut placed = self.stacks.place_entry(maps, entry);
        match copy.as_deref().filter(|_| by_table) {
            Some(copy) => {
                let walked = self.stacks.place_capture(maps, copy);
                let complete = walked.quality == StackQuality::Complete;
                if complete || trust == Trust::Nowhere || walked.locations.len() > placed.locations.len() {
                    placed = walked;
                }
            }
            None if trust == Trust::Nowhere && placed.quality != StackQuality::Missing => {
                placed.quality = StackQuality::Truncated;
                let reason = if by_table {
                    "this code keeps no frame pointers, and no copy of its stack could be taken"
                } else {
                    "this code keeps no frame pointers: callers may be missing"
                };
                placed.reason = Some(reason.to_owned());
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
