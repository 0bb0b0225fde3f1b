//! From what a hook captured to a stack with places and an honest word on how much of it is known.
//!
//! The one door for the tracer: it asks here and hands the result on to [`super::Symbolizer`], now or on another machine.

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
    /// Complete only when the walk reached the start of the thread.
    pub quality: StackQuality,
    /// Why it is not complete.
    pub reason: Option<StackReason>,
}

/// Places stacks of live processes.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    locator: Locator,
    unwinder: Unwinder,
    trust: TrustCache,
}

impl Stacks {
    /// Places stacks into these tables.
    pub(crate) fn new(modules: Modules, images: Images) -> Self {
        Self { locator: Locator::new(modules, images), ..Self::default() }
    }

    /// Drops the tables that no stack has needed since the last call; says whether there were any.
    pub(crate) fn forget_unused(&mut self) -> bool {
        self.unwinder.forget_unused()
    }

    /// How far the frame-pointer walk of a process can be believed. Reads files not seen before: ask once a process.
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
            ended = Ended::Truncated(WalkEnd::LeafCaller);
        }
        self.place(maps, &Walk { addresses, ended })
    }

    /// Walks and places a stack of which the kernel side took registers and a copy.
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

    /// What is left to say of a stack whose process is gone: addresses.
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
