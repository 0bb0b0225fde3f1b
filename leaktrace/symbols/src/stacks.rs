//! Turns a captured stack into locations, with its quality: complete, truncated (and why), or missing.
//!
//! Owns what counts as complete. Must not choose between frame pointers and tables: [`crate::Placer`] does.

use super::image::Images;
use super::process::{Locator, ProcessMaps};
use super::trust::{Trust, TrustCache};
use super::unwind::{Ended, LeafFrame, Unwinder, Walk};
use leaktrace_model::{ChainEnd, FrameChain, Location, Modules, StackCopy, StackQuality, StackReason, WalkEnd};

/// A stack that can be named without its process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PlacedStack {
    /// Leaf first.
    pub locations: Vec<Location>,
    /// Complete only if the walk reached the start of the thread.
    pub quality: StackQuality,
    /// Why it is not complete.
    pub reason: Option<StackReason>,
}

/// Places stacks of running processes.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    locator: Locator,
    unwinder: Unwinder,
    trust: TrustCache,
}

impl Stacks {
    /// Interns modules in `modules` and keeps files in `images`.
    pub(crate) fn new(modules: Modules, images: Images) -> Self {
        Self { locator: Locator::new(modules, images), ..Self::default() }
    }

    /// Drops the unwind tables that no stack needed since the last call. Returns whether there were any.
    pub(crate) fn forget_unused(&mut self) -> bool {
        self.unwinder.forget_unused()
    }

    /// How far the frame-pointer walk of a process can be trusted. Reads files not seen before, so call it once per process.
    pub(crate) fn trust(&mut self, maps: &mut ProcessMaps) -> Trust {
        self.trust.of_process(&mut self.locator, maps, &mut self.unwinder)
    }

    /// Places a stack that the kernel side walked by frame pointers.
    pub(crate) fn place_chain(&mut self, maps: &mut ProcessMaps, chain: &FrameChain<'_>) -> PlacedStack {
        let Some((&leaf, callers)) = chain.frames.split_first() else {
            return missing(match chain.ended {
                ChainEnd::NoUserStack => StackReason::KernelThread,
                _ => StackReason::Unreadable,
            });
        };
        let mut addresses = vec![leaf];
        let mut lost_caller = false;
        match self.unwinder.leaf_frame(&mut self.locator, maps, leaf) {
            LeafFrame::None if self.unwinder.check_return(&mut self.locator, maps, chain.leaf_return).is_ok() => {
                addresses.push(chain.leaf_return);
            }
            LeafFrame::None | LeafFrame::WithoutPointer => lost_caller = true,
            LeafFrame::WithPointer => {}
        }
        let mut ended = match chain.ended {
            ChainEnd::TooDeep => Ended::Truncated(WalkEnd::TooDeep),
            _ => Ended::Truncated(WalkEnd::ChainBroken),
        };
        for &address in callers {
            // An address from the chain is a caller only if a call instruction ends there.
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
            ended = Ended::Truncated(WalkEnd::LeafCaller);
        }
        self.place(maps, &Walk { addresses, ended })
    }

    /// Walks by unwind tables, and places, a stack of which the kernel side copied the registers and the memory.
    pub(crate) fn place_copy(&mut self, maps: &mut ProcessMaps, copy: &StackCopy<'_>) -> PlacedStack {
        let walk = self.unwinder.walk_copy(&mut self.locator, maps, copy);
        self.place(maps, &walk)
    }

    fn place(&mut self, maps: &mut ProcessMaps, walk: &Walk) -> PlacedStack {
        let locations = self.locator.locate_stack(maps, &walk.addresses);
        match walk.ended {
            Ended::AtStart => PlacedStack { locations, quality: StackQuality::Complete, reason: None },
            Ended::Truncated(why) => {
                PlacedStack { locations, quality: StackQuality::Truncated, reason: Some(StackReason::Walk(why)) }
            }
        }
    }

    /// Locations of a stack whose process has exited: addresses only.
    pub(crate) fn place_without_process(addresses: &[u64]) -> PlacedStack {
        if addresses.is_empty() {
            return missing(StackReason::Unreadable);
        }
        PlacedStack {
            locations: addresses.iter().map(|address| Location::unmapped(*address)).collect(),
            quality: StackQuality::Truncated,
            reason: Some(StackReason::Exited),
        }
    }
}

fn missing(reason: StackReason) -> PlacedStack {
    PlacedStack { locations: Vec::new(), quality: StackQuality::Missing, reason: Some(reason) }
}

#[cfg(test)]
mod tests;
