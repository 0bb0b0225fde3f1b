//! Watching: a separate thread takes samples, tracks them and hands out snapshots.
//!
//! That thread enters network namespaces and may block for as long as a pass takes. Code that shows snapshots or waits
//! for signals runs elsewhere and is never held up.

mod adoption;
mod message;
mod namer;
mod pace;
mod replay;
mod session;
mod watcher;

pub(crate) use message::{Control, Detail, Each, Update};
pub(crate) use replay::{Replay, Travel};
pub(crate) use session::{RecordTo, Session};
pub(crate) use watcher::Watch;

#[cfg(test)]
mod tests;
