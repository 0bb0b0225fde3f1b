//! The machine: its names, kernel and clocks, and the resources that leaktrace itself uses.

use leaktrace_model::{Host, Moment};
use std::{fs, time::Duration};

/// Reads the names of the machine and its kernel.
pub fn read_host() -> Host {
    let line = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    Host {
        hostname: line("/proc/sys/kernel/hostname"),
        kernel: line("/proc/sys/kernel/osrelease"),
        boot_id: line("/proc/sys/kernel/random/boot_id"),
    }
}

/// The running kernel's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelRelease {
    /// Its name, as `uname -r` prints it.
    pub text: String,
    /// Major and minor number; zeros if the name does not contain them.
    pub version: (u32, u32),
}

impl KernelRelease {
    /// Of the running kernel.
    pub fn running() -> Self {
        let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        let version = parse_version(&text).unwrap_or_default();
        Self { text, version }
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|character: char| !character.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// What the kernel forbids even to root (`/sys/kernel/security/lockdown`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lockdown {
    /// Nothing, or it cannot be read.
    None,
    /// The kernel cannot be changed; reading it is allowed.
    Integrity,
    /// The kernel's memory cannot be read either.
    Confidentiality,
}

impl Lockdown {
    /// Of the running kernel.
    pub fn running() -> Self {
        Self::from(&fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default())
    }

    /// From a line with the choice in brackets: `none [integrity] confidentiality`.
    fn from(text: &str) -> Self {
        match text.split_once('[').and_then(|(_, rest)| rest.split(']').next()) {
            Some("confidentiality") => Self::Confidentiality,
            Some("integrity") => Self::Integrity,
            _ => Self::None,
        }
    }
}

/// The current time of both clocks.
pub fn now() -> Moment {
    let boot = clock(libc::CLOCK_BOOTTIME);
    let unix = clock(libc::CLOCK_REALTIME);
    Moment { boot_ns: boot, unix_ns: i64::try_from(unix).unwrap_or(i64::MAX) }
}

/// Time between two ticks of the kernel's timer, in nanoseconds (`KTIME_LOW_RES`, include/linux/hrtimer_defs.h).
pub(crate) fn tick_ns() -> u32 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the argument is a valid place for the result.
    unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    u32::try_from(time.tv_nsec).unwrap_or(0)
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the argument is a valid place for the result.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Processor time of this process, user and system.
pub(crate) fn own_cpu() -> Duration {
    Duration::from_nanos(clock(libc::CLOCK_PROCESS_CPUTIME_ID))
}

/// Processor time of the calling thread. A busy machine does not change it.
pub fn thread_cpu() -> Duration {
    Duration::from_nanos(clock(libc::CLOCK_THREAD_CPUTIME_ID))
}

/// Resident memory of this process.
pub(crate) fn own_rss_bytes() -> u64 {
    const PAGE: u64 = 4096;
    fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok())
        .map_or(0, |pages| pages * PAGE)
}

/// Returns free memory to the kernel, which the allocator would keep.
pub fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call has no conditions.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Kernel memory of TCP on the whole host: the pages in `/proc/net/sockstat`, which count for all namespaces.
pub(crate) fn tcp_memory_bytes() -> Option<u64> {
    const PAGE: u64 = 4096;
    Some(tcp_sockstat("mem")? * PAGE)
}

/// TCP sockets on the whole host, in any state except TIME_WAIT: `alloc` in `/proc/net/sockstat`, which counts for all namespaces.
pub fn tcp_sockets() -> Option<u64> {
    tcp_sockstat("alloc")
}

fn tcp_sockstat(name: &str) -> Option<u64> {
    tcp_value(&fs::read_to_string("/proc/self/net/sockstat").ok()?, name)
}

fn tcp_value(sockstat: &str, name: &str) -> Option<u64> {
    let line = sockstat.lines().find(|line| line.starts_with("TCP:"))?;
    let mut words = line.split_whitespace();
    words.find(|word| *word == name)?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_in_brackets_counts() {
        assert_eq!(Lockdown::from("none integrity [confidentiality]\n"), Lockdown::Confidentiality);
        assert_eq!(Lockdown::from("none [integrity] confidentiality\n"), Lockdown::Integrity);
        assert_eq!(Lockdown::from("[none] integrity confidentiality\n"), Lockdown::None);
        assert_eq!(Lockdown::from(""), Lockdown::None);
    }

    #[test]
    fn counts_of_tcp_are_found_by_their_names() {
        let text = "sockets: used 9\nTCP: inuse 2 orphan 0 tw 1 alloc 5 mem 3\nUDP: inuse 1 mem 7\n";
        assert_eq!((tcp_value(text, "alloc"), tcp_value(text, "mem"), tcp_value(text, "x")), (Some(5), Some(3), None));
    }

    #[test]
    fn versions_are_read_from_release_names() {
        assert_eq!(parse_version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(parse_version("7.3-rc7-cloud-amd64"), Some((7, 3)));
        assert_eq!(parse_version("strange"), None);
    }
}
