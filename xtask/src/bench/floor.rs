//! What hooks and passes cost before they do anything, or with no more than the kernel has ready: what leaktrace costs is read
//! against this.
//!
//! The programs are written by hand and loaded as bpf(2) says; nothing of leaktrace is in them.

mod code;
mod load;
mod plain;
mod walk;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::bpf::own;
use super::peers::WITH_TRACEFS;
use crate::project;
use code::Code;
use load::{Attribute, Kind, descriptor};
pub use walk::{Step, Walk};

/// Of bpf(2), from <linux/bpf.h>.
const RAW_TRACEPOINT_OPEN: u32 = 17;

/// Requests of ioctl(2) on a perf event, from <linux/perf_event.h>.
const PERF_ENABLE: libc::c_ulong = 0x2400;
const PERF_SET_BPF: libc::c_ulong = 0x4004_2408;

/// What programs do where leaktrace's tracepoint hooks are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// Nothing: no tracer that hooks there can be cheaper.
    EmptyHooks,
    /// See [`plain`].
    PlainTracer,
}

impl Floor {
    /// As it is called in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::EmptyHooks => "empty hooks",
            Self::PlainTracer => "plain tracer",
        }
    }

    /// Attaches the programs.
    pub fn attach(self) -> Result<Attached> {
        let maps = match self {
            Self::EmptyHooks => None,
            Self::PlainTracer => Some(plain::Maps::new()?),
        };
        let code = |of: fn(&plain::Maps) -> Vec<u64>| maps.as_ref().map_or_else(|| Code::default().end(), of);
        let mut attached = vec![
            on("inet_sock_set_state", &code(plain::Maps::state))?,
            on("tcp_destroy_sock", &code(plain::Maps::destroyed))?,
        ];
        let program = load::program(Kind::Tracepoint, &code(plain::Maps::accepted))?;
        for call in ["accept", "accept4"] {
            attached.push(at_the_end_of(call, &program)?);
        }
        Ok(Attached(attached))
    }
}

/// Programs that run; detached when dropped.
pub struct Attached(#[expect(dead_code, reason = "open is all they must be")] Vec<OwnedFd>);

/// Runs a program on a tracepoint.
fn on(tracepoint: &str, code: &[u64]) -> Result<OwnedFd> {
    let name = CString::new(tracepoint)?;
    let program = load::program(Kind::RawTracepoint, code)?;
    let mut attribute = Attribute::default();
    attribute.set_u64(0, name.as_ptr() as u64).set(8, descriptor(&program));
    attribute.ask(RAW_TRACEPOINT_OPEN).with_context(|| format!("cannot attach a program to {tracepoint}"))
}

/// Runs a program at the end of a system call.
fn at_the_end_of(call: &str, program: &OwnedFd) -> Result<OwnedFd> {
    let path = format!("/sys/kernel/tracing/events/syscalls/sys_exit_{call}/id");
    let number = project::output_of(Command::new("unshare").args(["--mount", "sh", "-c", WITH_TRACEFS, "cat", &path]))?;
    let mut attribute = Attribute::default();
    // A tracepoint; the size of the first version; its number; a sample for every event; disabled at first.
    attribute.set(0, 2).set(4, 64).set_u64(8, number.trim().parse()?).set_u64(16, 1).set(40, 1);
    // SAFETY: the attribute is longer than it says. Every process, the first processor, no group, close on exec.
    let event = unsafe { libc::syscall(libc::SYS_perf_event_open, attribute.as_ptr(), -1, 0, -1, 8) };
    ensure!(event >= 0, "cannot open the event at {path}: {}", io::Error::last_os_error());
    let event = own(event as RawFd);
    for (request, argument) in [(PERF_SET_BPF, program.as_raw_fd()), (PERF_ENABLE, 0)] {
        // SAFETY: both descriptors are open.
        let result = unsafe { libc::ioctl(event.as_raw_fd(), request, argument) };
        ensure!(result == 0, "cannot run a program at {path}: {}", io::Error::last_os_error());
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_skip::{Lack, is_root, skip};

    #[test]
    fn the_kernel_takes_the_programs() -> Result<()> {
        if !is_root() {
            skip(Lack::Privilege("only root loads BPF programs"));
            return Ok(());
        }
        for floor in [Floor::EmptyHooks, Floor::PlainTracer] {
            drop(floor.attach().with_context(|| floor.name())?);
        }
        for step in [Step::Nothing, Step::LookUp] {
            Walk::new(step)?;
        }
        Ok(())
    }
}
