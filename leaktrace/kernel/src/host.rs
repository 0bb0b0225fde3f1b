//! The host and its processes, read from `/proc`. Everything is optional, because it may vanish between two reads.

mod cgroup;
mod process;
mod system;

pub use process::process_text;
pub(crate) use process::read_process;
pub use system::{KernelRelease, Lockdown, give_memory_back, now, read_host, tcp_sockets, thread_cpu};
pub(crate) use system::{own_cpu, own_rss_bytes, tcp_memory_bytes, tick_ns};
