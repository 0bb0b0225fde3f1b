//! The trait that names stacks: from the files of this host, or from a recording of another.

use crate::{Frame, Location};

/// Names stacks.
pub trait Resolve {
    /// Names a stack: for each location its frames, innermost (inlined) first.
    fn resolve(&mut self, stack: &[Location]) -> Vec<Vec<Frame>>;
}

impl<R: Resolve + ?Sized> Resolve for Box<R> {
    fn resolve(&mut self, stack: &[Location]) -> Vec<Vec<Frame>> {
        (**self).resolve(stack)
    }
}
