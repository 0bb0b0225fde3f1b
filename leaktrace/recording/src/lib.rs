//! Recordings: samples in a file, so that what one host has seen is looked at on any other, later, without root.
//!
//! Knows samples and files; knows nothing of the kernel, of tracking or of the command line.
//!
//! # Format, version 1
//!
//! A header of 16 bytes: [`frame::MAGIC`], the version and a CRC-32 of both, numbers little-endian. Then frames, each with
//! its own checksum and compressed (DEFLATE) for itself ([`frame`]): first who recorded where and how ([`wire::Start`]),
//! then one or more a sample ([`wire::Item`], in postcard's encoding), at last a mark that says that nothing is missing.
//!
//! What takes room are sockets, and most of them do nothing from one second to the next. So rows are put down as what
//! stays the same while nothing happens (when a socket was opened, not how old it is: [`rows`]) and only what differs
//! from the sample before is written ([`table`]). There are no frames to enter in the middle: a report covers a window from
//! its beginning, so whoever goes back plays from there, or from what he remembers ([`read::Mark`]).
//!
//! Names of functions are resolved where the files are, which is on the host that records, and written once a place.
//!
//! What is written is owned by this module ([`wire`], [`rows`]) and does not change when a structure of the program
//! does. A version that writes something else counts [`frame::VERSION`] up, and goes on reading what was written before.

pub mod assemble;
pub mod belief;
pub mod frame;
pub mod head;
pub mod limits;
pub mod names;
pub mod open;
pub mod read;
pub mod rows;
pub mod synthetic;
pub mod table;
pub mod weight;
pub mod wire;
pub mod write;

pub use names::RecordedNames;
pub use open::OpenError;
pub use read::{Ending, Mark, Reader};
pub use write::{Progress, Recorder, WriteError};

#[cfg(test)]
mod bad_input_tests;
