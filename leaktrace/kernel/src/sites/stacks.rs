//! Stacks of call sites: joins what the hooks captured and gives it to [`Place`].

use super::captures::Captures;
use crate::rows;
use leaktrace_common::{CallsiteKey, StackCapture, StackEntry};
use leaktrace_model::{CallsiteStack, NewSite, Place};
use std::{collections::BTreeSet, time::Duration};

/// A call site whose stack is to be placed.
pub(crate) struct CapturedSite {
    /// Its index.
    pub callsite: u32,
    /// What the hook found by frame pointers.
    pub entry: StackEntry,
    /// The copy of its stack, if it has arrived.
    pub copy: Option<Box<StackCapture>>,
}

impl CapturedSite {
    fn view(&self) -> NewSite<'_> {
        NewSite { callsite: self.callsite, chain: rows::chain(&self.entry), copy: self.copy.as_deref().map(rows::copy) }
    }
}

/// Reads captured stacks and has them placed.
pub(crate) struct StackReader {
    captures: Captures,
    place: Box<dyn Place>,
}

impl StackReader {
    /// Takes stacks from `captures` and has them placed by `place`.
    pub(crate) fn new(captures: Captures, place: Box<dyn Place>) -> Self {
        Self { captures, place }
    }

    /// See [`Place::forget_unused`].
    pub(crate) fn forget_unused(&mut self) -> bool {
        self.place.forget_unused()
    }

    /// Waits until the hooks have sent something, this thread is unparked, or `longest` has passed.
    pub(crate) fn wait(&self, longest: Duration) {
        self.captures.wait(longest);
    }

    /// Takes at most `most` waiting copies, all of the process whose copy has waited longest.
    pub(crate) fn take_copies(&mut self, most: usize) -> Vec<Box<StackCapture>> {
        for pid in self.captures.take_execs() {
            self.place.note_process(pid);
        }
        self.captures.take_process(most)
    }

    /// Call sites that the hooks have reported because they open many sockets.
    pub(crate) fn take_busy(&self) -> BTreeSet<u32> {
        self.captures.take_busy()
    }

    /// Takes the copy of this call site's stack, if it has arrived.
    pub(crate) fn take_copy(&self, callsite: u32, key: &CallsiteKey) -> Option<Box<StackCapture>> {
        self.captures.take_of(callsite).filter(|copy| copy.tgid == key.tgid)
    }

    /// See [`Place::place_all`].
    pub(crate) fn place_all(&mut self, tgid: u32, sites: &[CapturedSite]) -> Vec<CallsiteStack> {
        let sites: Vec<NewSite<'_>> = sites.iter().map(CapturedSite::view).collect();
        self.place.place_all(tgid, &sites)
    }
}
