//! The host and its processes, as `/proc` tells. Everything here may vanish between two reads and is optional.

mod cgroup;
mod process;
mod system;

pub use cgroup::placement;
pub use process::{descriptor_limit, process_text, read_process};
pub use system::{
    KernelRelease, Lockdown, give_memory_back, now, own_cpu, own_rss_bytes, read_host, tcp_memory_bytes, tcp_sockets,
    thread_cpu, tick_ns,
};
