//! What the kernel says of a program's sockets: `/proc/net/tcp` of every namespace, and `/proc/PID/fd`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// One line of `/proc/net/tcp` or `tcp6`.
#[derive(Clone, Debug)]
pub struct Line {
    pub netns: u64,
    pub local: (IpAddr, u16),
    pub remote: (IpAddr, u16),
    pub state: &'static str,
    pub tx_queue: u64,
    pub rx_queue: u64,
    pub inode: u64,
}

/// Everything at one moment.
pub struct Oracle {
    pub lines: Vec<Line>,
    /// Inode of a socket → process of every descriptor of it, sorted.
    pub holders: BTreeMap<u64, Vec<u32>>,
    /// Process → descriptors.
    pub descriptors: BTreeMap<u32, u64>,
}

const STATES: [&str; 13] = [
    "?",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECEIVED",
    "FIN_WAIT_1",
    "FIN_WAIT_2",
    "TIME_WAIT",
    "CLOSED",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "SYN_RECEIVED",
];

pub fn own_namespace() -> u64 {
    fs::metadata("/proc/self/ns/net").unwrap().ino()
}

impl Oracle {
    pub fn look() -> Self {
        let mut oracle = Self { lines: Vec::new(), holders: BTreeMap::new(), descriptors: BTreeMap::new() };
        let mut seen = BTreeSet::new();
        for pid in numbers(Path::new("/proc")) {
            let process = Path::new("/proc").join(pid.to_string());
            for tid in numbers(&process.join("task")) {
                let task = process.join("task").join(tid.to_string());
                let Ok(namespace) = fs::metadata(task.join("ns/net")) else { continue };
                if seen.insert(namespace.ino()) {
                    oracle.read_tables(namespace.ino(), &task.join("net"));
                }
            }
            oracle.read_descriptors(pid, &process.join("fd"));
        }
        for mount in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
            let Ok(file) = fs::File::open(mount.path()) else { continue };
            let inode = file.metadata().unwrap().ino();
            if seen.insert(inode) {
                // Only a thread of its own can go there without taking this one along.
                let lines = std::thread::spawn(move || {
                    let mut there =
                        Oracle { lines: Vec::new(), holders: BTreeMap::new(), descriptors: BTreeMap::new() };
                    if nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).is_ok() {
                        there.read_tables(inode, Path::new("/proc/thread-self/net"));
                    }
                    there.lines
                });
                oracle.lines.extend(lines.join().unwrap());
            }
        }
        // The tables are read in pieces, by offset: what is opened or closed meanwhile shows others twice, or not at all.
        let mut seen = BTreeSet::new();
        oracle.lines.retain(|line| seen.insert((line.netns, line.local, line.remote)));
        oracle.holders.values_mut().for_each(|pids| pids.sort_unstable());
        oracle
    }

    fn read_tables(&mut self, netns: u64, net: &Path) {
        for table in ["tcp", "tcp6"] {
            let text = fs::read_to_string(net.join(table)).unwrap_or_default();
            self.lines.extend(text.lines().skip(1).filter_map(|line| parse(netns, line)));
        }
    }

    fn read_descriptors(&mut self, pid: u32, folder: &Path) {
        for descriptor in fs::read_dir(folder).into_iter().flatten().flatten() {
            *self.descriptors.entry(pid).or_default() += 1;
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            let target = target.to_string_lossy().into_owned();
            let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            if let Some(inode) = inode.and_then(|inode| inode.parse().ok()) {
                self.holders.entry(inode).or_default().push(pid);
            }
        }
    }
}

fn numbers(folder: &Path) -> Vec<u32> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn parse(netns: u64, line: &str) -> Option<Line> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (tx, rx) = words.get(4)?.split_once(':')?;
    Some(Line {
        netns,
        local: address(words.get(1)?)?,
        remote: address(words.get(2)?)?,
        state: STATES.get(usize::from_str_radix(words.get(3)?, 16).ok()?)?,
        tx_queue: u64::from_str_radix(tx, 16).ok()?,
        rx_queue: u64::from_str_radix(rx, 16).ok()?,
        inode: words.get(9)?.parse().ok()?,
    })
}

fn address(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |index: usize| u32::from_str_radix(address.get(index * 8..index * 8 + 8)?, 16).ok();
    if address.len() == 8 {
        return Some((Ipv4Addr::from(word(0)?.to_ne_bytes()).into(), port));
    }
    let mut bytes = [0; 16];
    for index in 0..4 {
        bytes[index * 4..index * 4 + 4].copy_from_slice(&word(index)?.to_ne_bytes());
    }
    Some((Ipv6Addr::from(bytes).to_canonical(), port))
}
