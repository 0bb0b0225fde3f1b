//! The processes that read what other users wrote, and the tracer's line to them.
//!
//! leaktrace runs as root and looks at executables, debug files, perf maps and memory of every user of the host. A file can be made to
//! end, hang or bloat the program that reads it. So the tracer reads none: it asks a helper process, waits a limited time for each answer, and
//! replaces a helper that died or is late. The file that did it is not read again, and the report names it.
//!
//! - [`Helpers`] is the tracer's half: it starts helpers and asks them, through the traits [`Place`](leaktrace_model::Place) and
//!   [`Resolve`](leaktrace_model::Resolve).
//! - [`serve_if_helper`] is the other half: the program calls it first, and it does not return in a helper.
//!
//! Must not let a helper's answer harm the tracer: its length is bounded, and every number in it is checked where it is used.

mod bans;
mod channel;
mod client;
mod confine;
mod memory;
mod message;
mod namer;
mod pages;
mod remote;
mod spawn;

pub use client::{HelperOptions, Helpers};
pub use memory::CountingAllocator;
pub use namer::serve_if_helper;
