//! The one typed model that all other crates share: sockets, call sites, processes, samples and snapshots.
//!
//! Owns what these things are and how they serialize (a [`Snapshot`] serializes to the JSON report). Plain data: no
//! kernel, no files, no clock, no terminal, and no row type of the kernel boundary. Of `leaktrace-common` it uses only
//! the five types that both sides of that boundary share.
//!
//! Addresses are [`std::net::SocketAddr`], states and verdicts are enums and sets. Text is made when something is
//! serialized or printed, not earlier, and is never parsed back.

#![warn(unreachable_pub)]

mod callsite;
mod counts;
mod degradation;
mod field_value;
mod filter;
mod group;
mod health;
mod hooks;
mod host;
mod location;
mod moment;
mod network;
mod placing;
mod process;
mod quantity;
mod reason;
mod resolve;
mod run;
mod sample;
mod settings;
mod snapshot;
mod socket;
mod sums;
mod trend;

#[cfg(feature = "fixtures")]
pub mod fixtures;

pub use callsite::{Callsite, Frame, LifetimeBucket, Lifetimes, PeerCount, StackQuality};
pub use counts::VerdictCounts;
pub use degradation::Degradation;
pub use field_value::FieldValue;
pub use filter::{Candidate, Filter};
pub use group::{Group, GroupKey, Peer};
pub use health::{Health, Lost, NamerHealth};
pub use hooks::{HookKind, Hooks};
pub use host::Host;
pub use leaktrace_common::{Direction, Severity, TcpState, Verdict, Verdicts};
pub use location::{BuildId, Content, Location, Module, ModuleId, ModuleKind, Modules, Role};
pub use moment::{Limits, Moment, Ticks, Window, seconds};
pub use network::{Network, NetworkError};
pub use placing::{ChainEnd, FrameChain, MAX_FRAMES, NewSite, Place, StackCopy, Unwind};
pub use process::{Comm, Holder, Placement, Process, ProcessFacts};
pub use quantity::{
    Age, Glyphs, format_age, format_count, format_counted, format_duration, format_rate, format_size,
    format_size_change,
};
pub use reason::{StackReason, WalkEnd};
pub use resolve::Resolve;
pub use run::{LeftOpen, Run, RunProcess};
pub use sample::{
    CallsiteStack, Cost, HolderProcess, Holders, HostTotals, LIFETIME_CLASSES, LeftSocket, Pass, Sample, Shown,
    SiteCounters, SiteKey, SocketHolder, TreeProcess, TreeSample, Walks,
};
pub use settings::{Settings, StackSample};
pub use snapshot::{SCHEMA_VERSION, Snapshot, Tool, Totals};
pub use socket::{FieldColumn, Observed, Opener, SOCKET_FIELDS, SeenBy, Socket, SocketField, SocketId};
pub use sums::{Oldest, Sums};
pub use trend::Trend;
