//! The model: what every part of the program hands to the others, as plain data.
//!
//! Reads nothing, remembers nothing, prints nothing. Two traits are here because those who implement and those who use them
//! must not know each other: [`placing::Place`] and [`resolve::Resolve`].

pub mod address;
pub mod count;
pub mod filter;
#[cfg(feature = "fixtures")]
pub mod fixtures;
pub mod hooks;
pub mod host;
pub mod limits;
pub mod location;
pub mod placing;
pub mod resolve;
pub mod sample;
pub mod snapshot;
pub mod target;
