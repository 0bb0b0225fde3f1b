//! leaktrace: which code opened which TCP sockets, for how long they have been open, and which are stuck.
//!
//! A pipeline of plain data: `kernel → Sample → track → Snapshot → report | tui`. [`snapshot`] is what every
//! output reads; it is the JSON report of the contract, field for field.

pub mod diff;
pub mod report;
pub mod snapshot;
pub mod units;
