//! Copies of stacks that hooks took, and who places them.

use super::captures::Captures;
use leaktrace_common::{CallsiteKey, StackCapture};
use leaktrace_model::{
    placing::{NewSite, Place},
    sample::CallsiteStack,
};
use std::{collections::BTreeSet, time::Duration};

/// Reads stacks.
pub struct StackReader {
    captures: Captures,
    place: Box<dyn Place>,
}

impl StackReader {
    /// Takes stacks from `captures` and has them placed by `place`.
    pub fn new(captures: Captures, place: Box<dyn Place>) -> Self {
        Self { captures, place }
    }

    /// See [`Place::forget_unused`].
    pub fn forget_unused(&mut self) -> bool {
        self.place.forget_unused()
    }

    /// Rests until the hooks have copied something, somebody unparks this thread, or `longest` is over.
    pub fn wait(&self, longest: Duration) {
        self.captures.wait(longest);
    }

    /// Copies that wait to be placed, `most` of the process whose copy has waited longest; none when none waits.
    pub fn take_copies(&mut self, most: usize) -> Vec<Box<StackCapture>> {
        for pid in self.captures.take_execs() {
            self.place.note_process(pid);
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

    /// See [`Place::place_all`].
    pub fn place_all(&mut self, tgid: u32, sites: Vec<NewSite>) -> Vec<CallsiteStack> {
        self.place.place_all(tgid, sites)
    }
}
