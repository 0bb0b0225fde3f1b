//! From what the hooks captured to places in files: once for each new call site, while its process is still there.

use crate::{
    sample::CallsiteStack,
    snapshot::StackQuality,
    symbols::{Ended, Images, Location, Locator, Modules, ProcessMaps, Trust, TrustCache, Unwinder},
};
use aya::maps::{MapData, RingBuf};
use leaktrace_common::{CallsiteKey, StackCapture, StackEntry, capture};
use std::collections::HashMap;
use zerocopy::FromBytes;

/// Most processes whose trust is remembered.
const MOST_PROCESSES: usize = 16_384;

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
    captures: RingBuf<MapData>,
    pending: HashMap<u32, Box<StackCapture>>,
    locator: Locator,
    unwinder: Unwinder,
    trust: TrustCache,
    /// Trust by process, with the start time that tells a reused id apart.
    trusted: HashMap<u32, (u64, Trust)>,
}

impl StackReader {
    /// Takes stacks from `captures`; modules are interned in `modules`.
    pub fn new(unwind: Unwind, captures: RingBuf<MapData>, modules: Modules, images: Images) -> Self {
        Self {
            unwind,
            captures,
            pending: HashMap::new(),
            locator: Locator::new(modules, images),
            unwinder: Unwinder::default(),
            trust: TrustCache::default(),
            trusted: HashMap::new(),
        }
    }

    /// Takes what the hooks have copied since the last call, and tells which call sites it belongs to.
    pub fn receive(&mut self) -> Vec<u32> {
        let mut callsites = Vec::new();
        while let Some(item) = self.captures.next() {
            if let Ok(capture) = StackCapture::read_from_bytes(&item) {
                callsites.push(capture.callsite);
                self.pending.insert(capture.callsite, Box::new(capture));
            }
        }
        callsites
    }

    /// Places the stacks of new call sites; those of one batch share a look at their process.
    pub fn read(&mut self, fresh: Vec<(u32, CallsiteKey, StackEntry)>) -> Vec<CallsiteStack> {
        let mut maps = HashMap::new();
        fresh
            .into_iter()
            .map(|(callsite, key, entry)| {
                let maps = maps.entry(key.tgid).or_insert_with(|| ProcessMaps::read(key.tgid).ok());
                let copy = self.pending.remove(&callsite).filter(|copy| copy.tgid == key.tgid);
                self.place(callsite, &entry, copy.as_deref(), maps.as_mut())
            })
            .collect()
    }

    fn place(
        &mut self,
        callsite: u32,
        entry: &StackEntry,
        copy: Option<&StackCapture>,
        maps: Option<&mut ProcessMaps>,
    ) -> CallsiteStack {
        let len = (entry.len as usize).min(entry.frames.len());
        let frames = &entry.frames[..len];
        let Some(maps) = maps else {
            let locations = frames.iter().map(|address| Location::unmapped(*address)).collect();
            return located(callsite, locations, Some("the process ended before its memory map could be read"));
        };
        if len == 0 {
            return located(callsite, Vec::new(), Some(why_ended(entry.ended)));
        }
        let trust = self.trust_of(maps);
        let by_table = match self.unwind {
            Unwind::Fp => false,
            Unwind::Dwarf => true,
            Unwind::Auto => trust != Trust::Everywhere,
        };
        let mut reason = None;
        if by_table && let Some(copy) = copy {
            let walk = self.unwinder.walk_capture(&mut self.locator, maps, copy);
            let complete = walk.ended == Ended::AtStart;
            if complete || trust == Trust::Nowhere || walk.addresses.len() > len {
                let why = match walk.ended {
                    Ended::AtStart => None,
                    Ended::Truncated(why) => Some(why.to_string()),
                };
                let locations = self.locator.locate_stack(maps, &walk.addresses);
                return located(callsite, locations, why.as_deref());
            }
        } else if by_table {
            reason = Some("this code keeps no frame pointers, and no copy of its stack could be taken");
        }
        let addresses = self.with_leaf_return(frames, entry.leaf_return, maps);
        let reached_start = entry.ended == capture::AT_START
            || addresses.last().is_some_and(|last| self.locator.starts_thread(maps, *last));
        if trust == Trust::Nowhere {
            reason = reason.or(Some("this code keeps no frame pointers: callers may be missing"));
        } else if !reached_start {
            reason = reason.or(Some(why_ended(entry.ended)));
        }
        let locations = self.locator.locate_stack(maps, &addresses);
        located(callsite, locations, reason)
    }

    /// Puts the leaf's own return address in where the walk by frame pointers has skipped its caller.
    fn with_leaf_return(&mut self, frames: &[u64], leaf_return: u64, maps: &mut ProcessMaps) -> Vec<u64> {
        let mut addresses = frames.to_vec();
        let plausible = leaf_return != 0
            && frames.get(1) != Some(&leaf_return)
            && self.locator.is_behind_call(maps, leaf_return) == Some(true)
            && self.unwinder.leaf_keeps_no_frame(&mut self.locator, maps, frames[0]);
        if plausible {
            addresses.insert(1, leaf_return);
        }
        addresses
    }

    fn trust_of(&mut self, maps: &mut ProcessMaps) -> Trust {
        let (pid, started) = (maps.pid(), maps.started_ticks());
        if let Some((known, trust)) = self.trusted.get(&pid)
            && *known == started
        {
            return *trust;
        }
        let trust = self.trust.of_process(&mut self.locator, maps, &mut self.unwinder);
        if self.trusted.len() >= MOST_PROCESSES {
            self.trusted.clear();
        }
        self.trusted.insert(pid, (started, trust));
        trust
    }
}

fn located(callsite: u32, locations: Vec<Location>, reason: Option<&str>) -> CallsiteStack {
    let quality = match (locations.is_empty(), reason) {
        (true, _) => StackQuality::Missing,
        (false, None) => StackQuality::Complete,
        (false, Some(_)) => StackQuality::Truncated,
    };
    CallsiteStack { callsite, locations, quality, reason: reason.map(str::to_owned) }
}

fn why_ended(ended: u32) -> &'static str {
    match ended {
        capture::AT_START => "the walk ended at a null frame pointer",
        capture::TOO_DEEP => "the stack has more frames than are kept",
        capture::NO_USER => {
            "the socket was opened by a kernel thread, such as an io_uring worker, which has no user stack"
        }
        capture::UNREADABLE => "the user stack could not be read",
        _ => "the chain of frame pointers ends before the thread's start",
    }
}
