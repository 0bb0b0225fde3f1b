//! Recordings: samples in a file. What one host saw can be inspected on any other host, later, without root.
//!
//! Owns the format on disk: how samples are written ([`Recorder`]) and read ([`Reader`]), and what of a file is refused. Knows samples and
//! files; must not know the kernel, tracking, reports or the command line.
//!
//! # Format, version 2
//!
//! A header of 16 bytes: magic bytes, the version and a CRC-32 of both, numbers little-endian. Then blocks (`block`), each with its own
//! checksum and compressed (DEFLATE) by itself. The first block has who recorded, where and how ([`Start`]). Then each sample has one or
//! more blocks with items (`wire`) in postcard's encoding. The last block is a mark: nothing is missing.
//!
//! Sockets need most of the room, and most of them do nothing from one second to the next. Two things follow. Rows are written as what stays
//! the same while nothing happens (`rows`): when a socket was opened, not how old it is. And only differences from the sample before are
//! written (`table`). So a reader starts at the beginning; it can only go back to a place that it has remembered ([`Mark`]).
//!
//! Functions are named on the host that records, because the files are there. The names of each place in code are written once.
//!
//! The format does not change when the model does: `wire`, `head` and `rows` translate. A program that writes anything else uses a new
//! version, and still reads every older one. A version is open until it is released: version 2 is, so that items and cells may still be added
//! at the end.

#![warn(unreachable_pub)]

mod assemble;
mod block;
mod head;
mod limits;
mod memory_use;
mod names;
mod open;
mod pseudonyms;
mod read;
mod rows;
#[cfg(any(test, feature = "synthetic"))]
pub mod synthetic;
mod table;
mod time;
mod validate;
mod wire;
mod write;

pub use assemble::Recorded;
pub use block::{Damage, VERSION};
pub use names::{NamedPlace, RecordedNames};
pub use open::OpenError;
pub use pseudonyms::Pseudonyms;
pub use read::{Ending, FileReader, Mark, Reader};
pub use wire::Start;
pub use write::{Progress, Recorder, Sink, WriteError};

#[cfg(test)]
mod tests;
