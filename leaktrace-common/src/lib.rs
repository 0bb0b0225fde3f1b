//! Types that cross the kernel boundary, defined once for both sides.
//!
//! The kernel side (`leaktrace-ebpf`) and user space both use this crate. It owns
//! - the layout of what they exchange: records, rows, messages, settings. Every type is `repr(C)` with fixed-width integers and
//!   explicit padding, and its size is asserted;
//! - the numbers and names of states, directions and verdicts;
//! - two decisions that both sides must make alike: how the history of a socket is updated ([`SocketRecord::observe`]) and which
//!   verdicts hold ([`Verdicts::of`]).
//!
//! It must not depend on BPF or on the standard library.
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

mod callsite;
pub mod conditions;
mod direction;
mod judge;
mod message;
mod offsets;
mod opaque;
mod record;
pub mod relocation;
mod row;
mod settings;
mod stack;
mod state;
mod time;
mod tree;
mod verdict;
#[cfg(feature = "serde")]
mod words;

pub use callsite::{
    CallsiteCounters, CallsiteKey, LIFETIME_BUCKETS, MAX_CALLSITES, MAX_CPU_COUNTERS, MAX_RATED, NOT_SAMPLED, PassSums,
    SocketCounts, UNKNOWN_CALLSITE, lifetime_bucket,
};
pub use direction::Direction;
pub use message::{BusyCallsite, MessageKind, TreeExec};
pub use offsets::{FIELDS, Field, OFFSET_COUNT, Offsets};
pub use opaque::opaque;
pub use record::{Observed, SocketRecord, opened, record_flags};
pub use row::{HolderRow, HoldersProgress, PauseRow, ProcessRow, SocketRow, row_flags, row_kind};
pub use settings::{Clock, Listed, Losses, MAX_LISTED, PassSettings, PassTotals, Setup, SetupWide, emit, setup_flags};
pub use stack::{CopyRate, MAX_FRAMES, STACK_COPY_BYTES, StackCapture, StackEntry, capture};
pub use state::{States, TcpState};
pub use time::{Ticks, span_from_ns, ticks_from_ns, ticks_to_ns};
pub use tree::{LeftRow, MAX_TREE, TreeProcess};
pub use verdict::{Severity, Verdict, Verdicts};
