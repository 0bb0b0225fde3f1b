//! What every format's writer implements.

use leaktrace_model::Snapshot;
use std::io::{self, Write};

/// One way to write a snapshot.
pub trait Format {
    /// Writes all of it.
    ///
    /// # Errors
    /// Only those of `out`.
    fn write(&self, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()>;
}
