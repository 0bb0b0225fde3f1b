//! Prints tables to standard output, one after the other, for as long as there is a reader.

use std::io::{self, Write as _};

/// Whether there is still a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// There is.
    Reads,
    /// It has closed its end.
    Gone,
}

/// Writes a table to stdout on a thread of the runtime's pool: a reader may be slow, and signals must still be handled.
///
/// # Errors
/// When stdout cannot be written.
pub(super) async fn print(text: Vec<u8>) -> io::Result<Reader> {
    let written = tokio::task::spawn_blocking(move || {
        let mut out = io::stdout().lock();
        out.write_all(&text).and_then(|()| out.flush())
    });
    match written.await? {
        Ok(()) => Ok(Reader::Reads),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error),
    }
}
