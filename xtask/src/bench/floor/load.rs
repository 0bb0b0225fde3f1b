//! Giving the kernel programs and maps, as bpf(2) says.

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};

use super::code::Map;
use crate::bench::bpf::{bpf, own};

/// Commands of bpf(2), from <linux/bpf.h>.
const MAP_CREATE: u32 = 0;
const PROG_LOAD: u32 = 5;

/// `BPF_TRACE_ITER`
pub const ATTACH_TRACE_ITER: u32 = 28;

/// What a program is for.
#[derive(Clone, Copy)]
pub enum Kind {
    Tracepoint,
    RawTracepoint,
    /// An iterator, by the number of its function in the kernel's BTF.
    Iterator(u32),
}

/// Loads a program.
pub fn program(kind: Kind, code: &[u64]) -> Result<OwnedFd> {
    let license = c"GPL";
    let mut attribute = Attribute::default();
    let number = match kind {
        Kind::Tracepoint => 5,
        Kind::RawTracepoint => 17,
        Kind::Iterator(_) => 26,
    };
    attribute.set(0, number).set(4, u32::try_from(code.len())?);
    attribute.set_u64(8, code.as_ptr() as u64).set_u64(16, license.as_ptr() as u64);
    if let Kind::Iterator(function) = kind {
        attribute.set(68, ATTACH_TRACE_ITER).set(108, function);
    }
    attribute.ask(PROG_LOAD).context("the kernel refuses a program of a few instructions")
}

/// How a map is kept.
#[derive(Clone, Copy)]
pub enum Keeping {
    /// By key, all allocated at once.
    Hash = 1,
    /// By number.
    Array = 2,
    /// By what is on a stack.
    Stacks = 7,
}

/// Makes a map with keys and values of these sizes in bytes.
pub fn map(keeping: Keeping, key: u32, value: u32, entries: u32, flags: u32) -> Result<OwnedFd> {
    let mut attribute = Attribute::default();
    attribute.set(0, keeping as u32).set(4, key).set(8, value).set(12, entries).set(16, flags);
    attribute.ask(MAP_CREATE).context("cannot make a map")
}

/// `BPF_F_NO_PREALLOC`
pub const AS_IT_FILLS: u32 = 1;

/// A map's name in programs.
pub fn named(map: &OwnedFd) -> Map {
    Map(descriptor(map))
}

pub fn descriptor(of: &OwnedFd) -> u32 {
    // A descriptor is never negative.
    of.as_raw_fd().cast_unsigned()
}

/// An attribute of bpf(2) or perf_event_open(2): as long as those of the commands here need, zero where nothing is said.
#[derive(Clone, Copy)]
pub struct Attribute([u8; 128]);

impl Default for Attribute {
    fn default() -> Self {
        Self([0; 128])
    }
}

impl Attribute {
    pub fn set(&mut self, at: usize, value: u32) -> &mut Self {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    pub fn set_u64(&mut self, at: usize, value: u64) -> &mut Self {
        self.0[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        self
    }

    pub fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    /// Has bpf(2) make something.
    pub fn ask(&mut self, command: u32) -> Result<OwnedFd> {
        Ok(own(bpf(command, &mut self.0)?))
    }
}
