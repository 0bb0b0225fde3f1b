//! What hooks and passes cost before they do anything: the same attached with programs that do nothing, or next to nothing.
//! No tracer that hooks there can be cheaper, so what leaktrace costs is read against this.
//!
//! The programs are a few instructions, written by hand and loaded as bpf(2) says; nothing of leaktrace is in them.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::bpf::{bpf, own};
use super::peers::WITH_TRACEFS;
use crate::project;

/// Commands of bpf(2), from <linux/bpf.h>.
const MAP_CREATE: u32 = 0;
const PROG_LOAD: u32 = 5;
const RAW_TRACEPOINT_OPEN: u32 = 17;
const LINK_CREATE: u32 = 28;
const ITER_CREATE: u32 = 33;

const PROG_TYPE_TRACEPOINT: u32 = 5;
const PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
const PROG_TYPE_TRACING: u32 = 26;
const ATTACH_TRACE_ITER: u32 = 28;
const MAP_TYPE_HASH: u32 = 1;
const NO_PREALLOC: u32 = 1;

/// Requests of ioctl(2) on a perf event, from <linux/perf_event.h>.
const PERF_ENABLE: libc::c_ulong = 0x2400;
const PERF_SET_BPF: libc::c_ulong = 0x4004_2408;

/// Where leaktrace's tracepoint hooks are: these, and the ends of these system calls.
const TRACEPOINTS: [&str; 2] = ["inet_sock_set_state", "tcp_destroy_sock"];
const CALLS: [&str; 2] = ["accept", "accept4"];

/// Empty programs on [`TRACEPOINTS`] and at the ends of [`CALLS`]; detached when dropped.
pub struct EmptyHooks(#[expect(dead_code, reason = "open is all they must be")] Vec<OwnedFd>);

impl EmptyHooks {
    /// Attaches them.
    pub fn attach() -> Result<Self> {
        let program = load(PROG_TYPE_RAW_TRACEPOINT, &[set(R0, 0), EXIT], None)?;
        let attach = |tracepoint: &&str| {
            let name = CString::new(*tracepoint)?;
            let mut attribute = Attribute::default();
            attribute.set_u64(0, name.as_ptr() as u64).set(8, descriptor(&program));
            let link = bpf(RAW_TRACEPOINT_OPEN, &mut attribute.0)
                .with_context(|| format!("cannot attach an empty program to {tracepoint}"))?;
            Ok(own(link))
        };
        let mut attached = TRACEPOINTS.iter().map(attach).collect::<Result<Vec<_>>>()?;
        let program = load(PROG_TYPE_TRACEPOINT, &[set(R0, 0), EXIT], None)?;
        for call in CALLS {
            attached.push(at_the_end_of(call, &program)?);
        }
        Ok(Self(attached))
    }
}

/// Runs a program at the end of a system call.
fn at_the_end_of(call: &str, program: &OwnedFd) -> Result<OwnedFd> {
    let path = format!("/sys/kernel/tracing/events/syscalls/sys_exit_{call}/id");
    let number = project::output_of(Command::new("unshare").args(["--mount", "sh", "-c", WITH_TRACEFS, "cat", &path]))?;
    let mut attribute = Attribute::default();
    // A tracepoint; the size of the first version; its number; a sample for every event; disabled at first.
    attribute.set(0, 2).set(4, 64).set_u64(8, number.trim().parse()?).set_u64(16, 1).set(40, 1);
    // SAFETY: the attribute is longer than it says. Every process, the first processor, no group, close on exec.
    let event = unsafe { libc::syscall(libc::SYS_perf_event_open, attribute.0.as_ptr(), -1, 0, -1, 8) };
    ensure!(event >= 0, "cannot open the event at {path}: {}", io::Error::last_os_error());
    let event = own(event as RawFd);
    for (request, argument) in [(PERF_SET_BPF, program.as_raw_fd()), (PERF_ENABLE, 0)] {
        // SAFETY: both descriptors are open.
        let result = unsafe { libc::ioctl(event.as_raw_fd(), request, argument) };
        ensure!(result == 0, "cannot run a program at {path}: {}", io::Error::last_os_error());
    }
    Ok(event)
}

/// What a walk over all TCP sockets does at each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing: what is left is the kernel's own.
    Nothing,
    /// Looks for it in a table as large as leaktrace's, and puts it there the first time.
    LookUp,
}

/// A walk over the TCP sockets of this network namespace by the kernel's iterator.
pub struct Walk {
    link: OwnedFd,
    // The program holds it as well; here so that it can be seen where it lives.
    _table: Option<OwnedFd>,
}

impl Walk {
    /// Loads the program.
    pub fn new(step: Step) -> Result<Self> {
        let table = if step == Step::LookUp { Some(table()?) } else { None };
        let code = match &table {
            None => vec![set(R0, 0), EXIT],
            Some(table) => look_up(descriptor(table)),
        };
        let target = function_id("bpf_iter_tcp")?;
        let program = load(PROG_TYPE_TRACING, &code, Some(target)).context("cannot load a program for iter/tcp")?;
        let mut attribute = Attribute::default();
        attribute.set(0, descriptor(&program)).set(8, ATTACH_TRACE_ITER);
        let link = own(bpf(LINK_CREATE, &mut attribute.0).context("cannot attach to iter/tcp")?);
        Ok(Self { link, _table: table })
    }

    /// Walks once: how long it took, and how much processor time.
    pub fn walk(&self) -> Result<(Duration, Duration)> {
        let mut attribute = Attribute::default();
        attribute.set(0, descriptor(&self.link));
        let mut sockets = File::from(own(bpf(ITER_CREATE, &mut attribute.0).context("cannot begin a walk")?));
        let (begun, cpu_before) = (Instant::now(), thread_cpu());
        let mut buffer = [0; 4096];
        loop {
            match sockets.read(&mut buffer) {
                Ok(0) => break,
                // The kernel interrupts a read after a million objects of which none was written.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => drop(read.context("a walk failed")?),
            }
        }
        Ok((begun.elapsed(), thread_cpu().saturating_sub(cpu_before)))
    }
}

/// An attribute of bpf(2): as long as those of the commands above need, zero where nothing is said.
#[derive(Clone, Copy)]
struct Attribute([u8; 128]);

impl Default for Attribute {
    fn default() -> Self {
        Self([0; 128])
    }
}

impl Attribute {
    fn set(&mut self, at: usize, value: u32) -> &mut Self {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn set_u64(&mut self, at: usize, value: u64) -> &mut Self {
        self.0[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        self
    }
}

fn load(kind: u32, code: &[u64], target: Option<u32>) -> Result<OwnedFd> {
    let license = c"GPL";
    let mut attribute = Attribute::default();
    attribute.set(0, kind).set(4, u32::try_from(code.len())?);
    attribute.set_u64(8, code.as_ptr() as u64).set_u64(16, license.as_ptr() as u64);
    if let Some(target) = target {
        attribute.set(68, ATTACH_TRACE_ITER).set(108, target);
    }
    Ok(own(bpf(PROG_LOAD, &mut attribute.0).context("the kernel refuses a program of a few instructions")?))
}

/// As leaktrace's table of sockets: eight bytes of key, 64 of value, allocated as it fills.
fn table() -> Result<OwnedFd> {
    let mut attribute = Attribute::default();
    attribute.set(0, MAP_TYPE_HASH).set(4, 8).set(8, 64).set(12, 1 << 20).set(16, NO_PREALLOC);
    Ok(own(bpf(MAP_CREATE, &mut attribute.0).context("cannot make a table")?))
}

const R0: u8 = 0;
const R1: u8 = 1;
const R2: u8 = 2;
const R3: u8 = 3;
const R4: u8 = 4;
const R6: u8 = 6;
/// The frame pointer.
const R10: u8 = 10;

const EXIT: u64 = instruction(0x95, 0, 0, 0, 0);

/// An instruction as <linux/bpf.h> lays it out.
const fn instruction(operation: u8, to: u8, from: u8, offset: i16, value: i32) -> u64 {
    operation as u64
        | (from as u64) << 12
        | (to as u64) << 8
        | (offset as u16 as u64) << 16
        | (value as u32 as u64) << 32
}

const fn set(to: u8, value: i32) -> u64 {
    instruction(0xb7, to, 0, 0, value)
}

/// `to = r10 + offset`, in two instructions.
const fn place(to: u8, offset: i32) -> [u64; 2] {
    [instruction(0xbf, to, R10, 0, 0), instruction(0x07, to, 0, 0, offset)]
}

/// Looks the socket up by its address; reads the ends of the value if it is there, else inserts one of zeroes.
fn look_up(table: u32) -> Vec<u64> {
    let table = |to| [instruction(0x18, to, 1, 0, table as i32), 0];
    let call = |helper| instruction(0x85, 0, 0, 0, helper);
    let (key, value) = (place(R2, -8), place(R3, -72));
    let mut insert: Vec<u64> = (0..8).map(|word| instruction(0x7a, R10, 0, -16 - 8 * word, 0)).collect();
    insert.extend(table(R1));
    insert.extend([key[0], key[1], value[0], value[1], set(R4, 0), call(2)]);
    let read = [instruction(0x79, R1, R0, 0, 0), instruction(0x79, R2, R0, 56, 0)];
    insert.push(instruction(0x05, 0, 0, read.len() as i16, 0));
    let mut look = vec![instruction(0x7b, R10, R6, -8, 0)];
    look.extend(table(R1));
    look.extend([key[0], key[1], call(1), instruction(0x55, R0, 0, insert.len() as i16, 0)]);
    // The context's second word is the socket, null at the end.
    let body = look.len() + insert.len() + read.len();
    let mut code = vec![instruction(0x79, R6, R1, 8, 0), instruction(0x15, R6, 0, body as i16, 0)];
    code.extend(look);
    code.extend(insert);
    code.extend(read);
    code.extend([set(R0, 0), EXIT]);
    code
}

/// Number of a function in the kernel's BTF (Documentation/bpf/btf.rst).
fn function_id(name: &str) -> Result<u32> {
    const PATH: &str = "/sys/kernel/btf/vmlinux";
    let btf = fs::read(PATH).with_context(|| format!("cannot read {PATH}"))?;
    find_function(&btf, name).with_context(|| format!("{PATH} does not know {name}"))
}

fn find_function(btf: &[u8], name: &str) -> Option<u32> {
    const FUNCTION: u32 = 12;
    let word = |at: usize| Some(u32::from_ne_bytes(btf.get(at..at + 4)?.try_into().ok()?));
    let offset = |at: usize| usize::try_from(word(at)?).ok();
    let header = offset(4)?;
    let (mut at, types_len, strings) = (header + offset(8)?, offset(12)?, header + offset(16)?);
    let end = at + types_len;
    let mut id = 1;
    while at < end {
        let info = word(at + 4)?;
        let (kind, members) = (info >> 24 & 31, (info & 0xffff) as usize);
        let called = btf.get(strings + offset(at)?..)?;
        if kind == FUNCTION && called.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0)) {
            return Some(id);
        }
        // What follows the twelve bytes that all kinds share.
        at += 12
            + match kind {
                1 | 14 | 17 => 4,
                3 => 12,
                4 | 5 | 15 | 19 => 12 * members,
                6 | 13 => 8 * members,
                _ => 0,
            };
        id += 1;
    }
    None
}

fn descriptor(of: &OwnedFd) -> u32 {
    // A descriptor is never negative.
    of.as_raw_fd().cast_unsigned()
}

/// Processor time of this thread.
fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the place is valid; the clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_lie_as_the_kernel_expects() {
        assert_eq!(set(R1, -2).to_ne_bytes(), [0xb7, 1, 0, 0, 0xfe, 0xff, 0xff, 0xff]);
        assert_eq!(instruction(0x7b, R10, R6, -8, 0).to_ne_bytes(), [0x7b, 0x6a, 0xf8, 0xff, 0, 0, 0, 0]);
    }

    #[test]
    fn a_function_is_found_by_its_whole_name() {
        // A header of 24 bytes; an integer (16 bytes), the functions `ab` and `a` (12 bytes each); names.
        let words = [0x0001_eb9f, 24, 0, 40, 40, 6, 0, 1 << 24, 4, 32, 1, 12 << 24, 0, 4, 12 << 24, 0];
        let mut btf: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
        btf.extend(b"\0ab\0a\0");
        assert_eq!(
            (find_function(&btf, "a"), find_function(&btf, "ab"), find_function(&btf, "b")),
            (Some(3), Some(2), None)
        );
        for len in 0..btf.len() {
            assert_eq!(find_function(&btf[..len], "c"), None, "cut at {len}");
        }
    }
}
