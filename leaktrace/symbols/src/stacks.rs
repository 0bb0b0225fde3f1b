//! From what a hook captured to a stack with places and an honest word on how much of it is known.
//!
//! The one door for the tracer: it asks here and hands the result on to [`super::Symbolizer`], now or on another machine.

use super::image::Images;
use super::process::{Locator, ProcessMaps};
use super::trust::{Trust, TrustCache};
use super::unwind::{Ended, LeafFrame, Unwinder, Walk, Why};
use leaktrace_common::{StackCapture, StackEntry, capture};
use leaktrace_model::{
    location::{Location, Modules},
    snapshot::StackQuality,
};
use serde::{Deserialize, Serialize};

/// A stack that can be named without its process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedStack {
    /// Leaf first.
    pub locations: Vec<Location>,
    /// Complete only when the walk reached the start of the thread.
    pub quality: StackQuality,
    /// Why it is not complete.
    pub reason: Option<String>,
}

/// Places stacks of live processes.
#[derive(Debug, Default)]
pub struct Stacks {
    locator: Locator,
    unwinder: Unwinder,
    trust: TrustCache,
}

impl Stacks {
    /// Places stacks into these tables.
    pub fn new(modules: Modules, images: Images) -> Self {
        Self { locator: Locator::new(modules, images), ..Self::default() }
    }

    /// The modules that stacks refer to.
    pub fn modules(&self) -> &Modules {
        self.locator.modules()
    }

    /// The files that are kept open to name frames.
    pub fn images(&self) -> &Images {
        self.locator.images()
    }

    /// Drops the tables that no stack has needed since the last call; says whether there were any.
    pub fn forget_unused(&mut self) -> bool {
        self.unwinder.forget_unused()
    }

    /// How far the frame-pointer walk of a process can be believed. Reads files not seen before: ask once a process.
    pub fn trust(&mut self, maps: &mut ProcessMaps) -> Trust {
        self.trust.of_process(&mut self.locator, maps, &mut self.unwinder)
    }

    /// Places a stack that the kernel side walked by frame pointers.
    pub fn place_entry(&mut self, maps: &mut ProcessMaps, entry: &StackEntry) -> PlacedStack {
        let len = usize::try_from(entry.len).unwrap_or(usize::MAX).min(entry.frames.len());
        let Some((&leaf, callers)) = entry.frames[..len].split_first() else {
            return missing(match entry.ended {
                capture::NO_USER => {
                    "the socket was opened by a kernel thread, such as an io_uring worker, which has no user stack"
                }
                _ => "the user stack could not be read",
            });
        };
        let mut addresses = vec![leaf];
        let mut lost_caller = false;
        match self.unwinder.leaf_frame(&mut self.locator, maps, leaf) {
            LeafFrame::None if self.unwinder.check_return(&mut self.locator, maps, entry.leaf_return).is_ok() => {
                addresses.push(entry.leaf_return);
            }
            LeafFrame::None | LeafFrame::WithoutPointer => lost_caller = true,
            LeafFrame::WithPointer => {}
        }
        let mut ended = match entry.ended {
            capture::TOO_DEEP => Ended::Truncated(Why::TooDeep),
            _ => Ended::Truncated(Why::ChainBroken),
        };
        for &address in callers {
            // What the chain leads to is only a caller if it looks like one.
            if let Err(why) = self.unwinder.check_return(&mut self.locator, maps, address) {
                ended = Ended::Truncated(why);
                break;
            }
            addresses.push(address);
        }
        if addresses.len() > 1 && addresses.last().is_some_and(|last| self.locator.starts_thread(maps, *last)) {
            ended = Ended::AtStart;
        }
        if lost_caller && ended == Ended::AtStart {
            ended = Ended::Truncated(Why::LeafCaller);
        }
        self.place(maps, &Walk { addresses, ended })
    }

    /// Walks and places a stack of which the kernel side took registers and a copy.
    pub fn place_capture(&mut self, maps: &mut ProcessMaps, capture: &StackCapture) -> PlacedStack {
        let walk = self.unwinder.walk_capture(&mut self.locator, maps, capture);
        self.place(maps, &walk)
    }

    fn place(&mut self, maps: &mut ProcessMaps, walk: &Walk) -> PlacedStack {
        let locations = self.locator.locate_stack(maps, &walk.addresses);
        match walk.ended {
            Ended::AtStart => PlacedStack { locations, quality: StackQuality::Complete, reason: None },
            Ended::Truncated(why) => {
                PlacedStack { locations, quality: StackQuality::Truncated, reason: Some(why.to_string()) }
            }
        }
    }

    /// What is left to say of a stack whose process is gone: addresses.
    pub fn place_without_process(addresses: &[u64]) -> PlacedStack {
        if addresses.is_empty() {
            return missing("the user stack could not be read");
        }
        PlacedStack {
            locations: addresses.iter().map(|address| Location::unmapped(*address)).collect(),
            quality: StackQuality::Truncated,
            reason: Some("the process had exited before its mappings could be read".to_owned()),
        }
    }
}

fn missing(reason: &str) -> PlacedStack {
    PlacedStack { locations: Vec::new(), quality: StackQuality::Missing, reason: Some(reason.to_owned()) }
}

#[cfg(test)]
mod containers;
#[cfg(test)]
mod interpreters;
#[cfg(test)]
mod tests;
