//! Tracking: from samples to snapshots. The only crate that keeps history.
//!
//! Owns which sockets, call sites, processes and peers are known, their history, whether their number grows, and what a
//! snapshot says of them. Pure: no clock (times come with the samples), no kernel, no files, no terminal, nothing that
//! blocks. Does not name frames.

#![warn(unreachable_pub)]

mod groups;
mod growth;
mod lifetimes;
mod processes;
mod sieve;
mod sites;
mod tracker;
mod tree;

pub use sieve::Sieve;
pub use tracker::{Tracker, TrackerOptions};
pub use tree::Tree;
