//! leaktrace: which code opened which TCP sockets, for how long they have been open, and which are stuck.
//!
//! A pipeline of plain data: `kernel → Sample → track → Snapshot → report | tui`. [`model::snapshot`] is what every
//! output reads; it is the JSON report of the contract, field for field.

pub mod cli;
pub mod command;
pub mod config;
pub mod destroy;
pub mod diff;
pub mod doctor;
pub mod host;
pub mod kernel;
pub mod model;
pub mod privilege;
pub mod recording;
pub mod report;
pub mod symbols;
pub mod track;
pub mod tui;
pub mod units;
pub mod watch;
