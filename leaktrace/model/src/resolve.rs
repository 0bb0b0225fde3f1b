//! Whatever gives stacks their names: the files of this host, or a recording of another.

use crate::{location::Location, snapshot::Frame};

/// Names stacks.
pub trait Resolve {
    /// Names a stack; see [`super::Symbolizer::resolve`].
    fn resolve(&mut self, stack: &[Location]) -> Vec<Vec<Frame>>;
}
