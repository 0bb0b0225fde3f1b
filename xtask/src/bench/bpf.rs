//! What the kernel says of BPF programs and maps that a process has open: how often and how long they ran, what they take.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

use anyhow::{Context as _, Result};

/// Commands of bpf(2), from <linux/bpf.h>.
const GET_PROGRAM_BY_ID: u32 = 13;
const GET_INFO: u32 = 15;
/// Kernel 5.8.
const ENABLE_STATS: u32 = 32;

/// A program, and what it has done while run times were kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// As in its source, 15 bytes at most.
    pub name: String,
    /// How often it ran.
    pub runs: u64,
    /// How long it ran in all, in nanoseconds.
    pub run_ns: u64,
    /// How many instructions the verifier followed before it let the program run; unknown before 5.16.
    pub verified: Option<u64>,
}

/// While this exists, the kernel keeps the run times of all BPF programs, which costs each run some nanoseconds.
pub struct RunTimes(#[expect(dead_code, reason = "open is all it must be")] OwnedFd);

impl RunTimes {
    /// Begins. Ends with this process at the latest, so that no setting of the system has to be put back.
    pub fn keep() -> Result<Self> {
        let descriptor = bpf(ENABLE_STATS, &mut [0; 16]).context("the kernel keeps no run times of BPF programs")?;
        Ok(Self(own(descriptor)))
    }
}

/// The programs that a process has open.
pub fn programs_of(pid: u32) -> Result<Vec<Program>> {
    let mut programs = BTreeMap::new();
    for text in descriptors_of(pid)? {
        // A link's text names its program as well, without its times.
        if let (None, Some(id)) = (value(&text, "link_id:"), value(&text, "prog_id:")) {
            let figures = ["run_cnt:", "run_time_ns:", "verified_insns:"].map(|name| value(&text, name));
            programs.insert(id, figures);
        }
    }
    let program = |(id, [runs, run_ns, verified]): (u64, [Option<u64>; 3])| {
        let name = name_of(u32::try_from(id)?).with_context(|| format!("cannot ask for the name of program {id}"))?;
        Ok(Program { name, runs: runs.unwrap_or_default(), run_ns: run_ns.unwrap_or_default(), verified })
    };
    programs.into_iter().map(program).collect()
}

/// Memory of the maps that a process has open, in bytes: what is allocated since 6.4, an estimate for full maps before.
pub fn map_bytes_of(pid: u32) -> Result<u64> {
    let maps: BTreeMap<u64, u64> = descriptors_of(pid)?
        .iter()
        .filter(|text| value(text, "link_id:").is_none())
        .filter_map(|text| Some((value(text, "map_id:")?, value(text, "memlock:")?)))
        .collect();
    Ok(maps.values().sum())
}

/// What `/proc/PID/fdinfo` says of each descriptor.
fn descriptors_of(pid: u32) -> Result<Vec<String>> {
    let folder = format!("/proc/{pid}/fdinfo");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))?;
    // Some are closed meanwhile.
    Ok(entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect())
}

fn value(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// `name` in `struct bpf_prog_info`, at byte 64 since 4.15.
fn name_of(program: u32) -> io::Result<String> {
    let mut attribute = [0; 16];
    attribute[..4].copy_from_slice(&program.to_ne_bytes());
    let descriptor = own(bpf(GET_PROGRAM_BY_ID, &mut attribute)?);
    let mut info = [0_u8; 80];
    let mut attribute = [0; 16];
    attribute[..4].copy_from_slice(&descriptor.as_raw_fd().to_ne_bytes());
    attribute[4..8].copy_from_slice(&(info.len() as u32).to_ne_bytes());
    attribute[8..].copy_from_slice(&(info.as_mut_ptr() as u64).to_ne_bytes());
    bpf(GET_INFO, &mut attribute)?;
    Ok(info[64..].iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect())
}

/// Calls bpf(2). The kernel takes an attribute that is shorter than its own, and a longer one that ends in zeroes.
pub fn bpf(command: u32, attribute: &mut [u8]) -> io::Result<RawFd> {
    // SAFETY: the attribute is as long as said; what it points to is valid and as long as it says.
    match unsafe { libc::syscall(libc::SYS_bpf, command, attribute.as_mut_ptr(), attribute.len()) } {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result as RawFd),
    }
}

/// Takes over a descriptor that [`bpf`] has given.
pub fn own(descriptor: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made it for us.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_name() {
        let text = "pos:\t0\nprog_type:\t26\nmemlock:\t4096\nprog_id:\t12\nrun_time_ns:\t5\nrun_cnt:\t2\n";
        assert_eq!(
            (value(text, "prog_id:"), value(text, "run_cnt:"), value(text, "map_id:")),
            (Some(12), Some(2), None)
        );
    }
}
