//! What crosses the kernel boundary, defined once for both sides.
//!
//! Every type here is `repr(C)` with fixed-width integers and explicit padding, and its size is asserted.
//! This crate knows neither BPF nor the standard library; it also owns the two decisions that both sides
//! must take alike: how a socket's history moves on ([`SocketRecord::observe`]) and which verdicts hold
//! ([`Verdicts::of`]).
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

mod callsite;
pub mod conditions;
mod offsets;
mod opaque;
pub mod placeholder;
mod record;
mod row;
mod settings;
mod stack;
mod state;
mod time;
mod tree;
mod verdict;

pub use callsite::{
    BusyCallsite, CallsiteCounters, CallsiteKey, LIFETIME_BUCKETS, MAX_CALLSITES, MAX_RATED, MAX_TALLIES, NOT_SAMPLED,
    PassSums, Tally, lifetime_bucket,
};
pub use offsets::{FIELDS, Field, OFFSET_COUNT, Offsets};
pub use opaque::opaque;
pub use record::{Observed, SocketRecord, opened, record_flags};
pub use row::{HolderRow, HoldersProgress, PauseRow, ProcessRow, SocketRow, row_flags, row_kind};
pub use settings::{Clock, Listed, Losses, MAX_LISTED, PassSettings, PassTotals, Setup, SetupWide, emit, setup_flags};
pub use stack::{CopyRate, MAX_FRAMES, STACK_COPY_BYTES, StackCapture, StackEntry, capture};
pub use state::{Direction, States, TcpState};
pub use time::{Ticks, span_from_ns, ticks_from_ns, ticks_to_ns};
pub use tree::{LeftRow, MAX_TREE, TreeExec, TreeProcess};
pub use verdict::{Severity, Verdict, Verdicts};
