//! From what the hooks captured to places in files: once for each new call site, while its process is still there.

use super::captures::{Captures, News};
use crate::{
    sample::CallsiteStack,
    snapshot::StackQuality,
    symbols::{Images, Modules, PlacedStack, ProcessMaps, Stacks, Trust},
};
use leaktrace_common::{CallsiteKey, StackCapture, StackEntry};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Most copies of stacks that wait to be placed: 24 MiB.
const MOST_PENDING: usize = 1024;

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

/// Reads stacks.
pub struct StackReader {
    unwind: Unwind,
    captures: Captures,
    pending: HashMap<u32, Box<StackCapture>>,
    /// Copies that came while too many waited to be placed.
    dropped: u64,
    stacks: Stacks,
    /// Trust by process, with the start time that tells a reused id apart.
    trusted: HashMap<u32, (u64, Trust)>,
    /// The latest look at some processes: what a process opens right before its end is placed after it.
    recent: HashMap<u32, (Instant, ProcessMaps)>,
}

impl StackReader {
    /// Takes stacks from `captures`; modules are interned in `modules`.
    pub fn new(unwind: Unwind, captures: Captures, modules: Modules, images: Images) -> Self {
        Self {
            unwind,
            captures,
            pending: HashMap::new(),
            dropped: 0,
            stacks: Stacks::new(modules, images),
            trusted: HashMap::new(),
            recent: HashMap::new(),
        }
    }

    /// Rests until the hooks have copied something, or `longest` is over.
    pub fn wait(&self, longest: Duration) {
        self.captures.wait(longest);
    }

    /// Takes what the hooks have copied since the last call, and tells which call sites it belongs to.
    pub fn receive(&mut self) -> Vec<u32> {
        let (mut callsites, mut execs) = (Vec::new(), Vec::new());
        for news in self.captures.take() {
            match news {
                News::Exec(pid) => execs.push(pid),
                News::Stack(capture) if self.pending.len() < MOST_PENDING => {
                    callsites.push(capture.callsite);
                    self.pending.insert(capture.callsite, capture);
                }
                News::Stack(_) => self.dropped += 1,
            }
        }
        for pid in execs {
            if let Ok(maps) = ProcessMaps::read(pid) {
                self.remember(pid, maps);
            }
        }
        callsites
    }

    /// How many copies were taken by the hooks and found no room here.
    pub fn dropped(&self) -> u64 {
        self.dropped + self.captures.dropped()
    }

    /// Whether a copy of this call site's stack waits to be placed.
    pub fn has_copy(&self, callsite: u32) -> bool {
        self.pending.contains_key(&callsite)
    }

    /// Places the stacks of new call sites; those of one batch share a look at their process.
    pub fn read(&mut self, fresh: Vec<(u32, CallsiteKey, StackEntry)>) -> Vec<CallsiteStack> {
        let mut maps = HashMap::new();
        let placed = fresh
            .into_iter()
            .map(|(callsite, key, entry)| {
                let maps = maps.entry(key.tgid).or_insert_with(|| match ProcessMaps::read(key.tgid) {
                    Ok(maps) if !maps.is_empty() => Some(maps),
                    _ => {
                        self.recent.remove(&key.tgid).filter(|(seen, _)| seen.elapsed() < RECENT).map(|(_, maps)| maps)
                    }
                });
                let copy = self.pending.remove(&callsite).filter(|copy| copy.tgid == key.tgid);
                self.place(callsite, &entry, copy.as_deref(), maps.as_mut())
            })
            .collect();
        for (pid, maps) in maps {
            if let Some(maps) = maps {
                self.remember(pid, maps);
            }
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

    fn place(
        &mut self,
        callsite: u32,
        entry: &StackEntry,
        copy: Option<&StackCapture>,
        maps: Option<&mut ProcessMaps>,
    ) -> CallsiteStack {
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
        match copy.filter(|_| by_table) {
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
