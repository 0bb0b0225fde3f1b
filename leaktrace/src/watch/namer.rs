//! Giving the frames of a snapshot their names.

use crate::{
    snapshot::{Frame, Snapshot},
    symbols::{Images, Location, Modules, Symbolizer},
};

/// Names frames, and remembers names.
pub struct Namer {
    symbolizer: Symbolizer,
}

impl Namer {
    /// A namer that keeps about `limit` bytes of names.
    pub fn new(modules: Modules, images: Images, limit: usize) -> Self {
        Self { symbolizer: Symbolizer::new(modules, images, limit) }
    }

    /// Replaces the bare stacks of all call sites by named ones. `stack_of` gives the places of a call site's frames.
    pub fn name<'a>(&mut self, snapshot: &mut Snapshot, stack_of: impl Fn(u64) -> &'a [Location]) {
        for site in &mut snapshot.callsites {
            let frames: Vec<Frame> = self.symbolizer.resolve(stack_of(site.id)).into_iter().flatten().collect();
            site.stack = frames;
        }
    }
}
