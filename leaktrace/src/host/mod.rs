//! The host and its processes, as `/proc` tells. Everything here may vanish between two reads and is optional.

mod cgroup;
mod process;
mod system;

pub use cgroup::{Placement, placement};
pub use process::{ProcessFacts, descriptor_limit, process_text};
pub use system::{
    Clock, HostFacts, KernelRelease, Lockdown, give_memory_back, own_cpu, own_rss_bytes, tcp_memory_bytes, tcp_sockets,
    thread_cpu, tick_ns,
};
