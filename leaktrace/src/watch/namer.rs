//! Giving the frames of a snapshot their names.

use crate::{
    snapshot::{Frame, Snapshot},
    symbols::{Images, Location, Modules, Symbolizer},
};

use std::hash::{DefaultHasher, Hash, Hasher};

/// Names frames, and remembers names.
pub struct Namer {
    symbolizer: Symbolizer,
}

impl Namer {
    /// A namer that keeps about `limit` bytes of names.
    pub fn new(modules: Modules, images: Images, limit: usize) -> Self {
        Self { symbolizer: Symbolizer::new(modules, images, limit) }
    }

    /// A number that is equal for stacks whose frames have the same names and lines; `None` for a stack without any name.
    pub fn identity(&mut self, stack: &[Location]) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        let mut named = false;
        for frame in self.symbolizer.resolve(stack).into_iter().flatten() {
            named |= frame.symbol.is_some();
            // Where there is no name, the place itself counts.
            let place = if frame.symbol.is_none() { frame.offset } else { None };
            (frame.symbol, frame.module, frame.file, frame.line, place).hash(&mut hasher);
        }
        named.then(|| hasher.finish())
    }

    /// Replaces the bare stacks of all call sites by named ones. `stack_of` gives the places of a call site's frames.
    pub fn name<'a>(&mut self, snapshot: &mut Snapshot, stack_of: impl Fn(u64) -> &'a [Location]) {
        for site in &mut snapshot.callsites {
            let frames: Vec<Frame> = self.symbolizer.resolve(stack_of(site.id)).into_iter().flatten().collect();
            site.stack = frames;
        }
    }
}
