//! From samples to snapshots: the one place that remembers.
//!
//! Owns which sockets, call sites, processes and peers are known, what has become of them over time, whether their number grows,
//! and what a snapshot says of them. Pure: no clock of its own (times come with the samples), no kernel, no files, no
//! terminal, nothing that blocks. Names of frames are added by others.

#![warn(unreachable_pub)]

mod groups;
mod growth;
mod lifetimes;
mod processes;
mod sites;
mod tracker;
mod tree;

pub use tracker::{Tracker, TrackerOptions};
pub use tree::Tree;
