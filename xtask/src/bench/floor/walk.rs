//! The kernel's own walk over its TCP sockets.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::code::{Code, Helper, Map, R0, R1, R2, R3, R4, R6, When};
use super::load::{self, AS_IT_FILLS, ATTACH_TRACE_ITER, Attribute, Keeping, Kind, descriptor};

/// Commands of bpf(2), from <linux/bpf.h>.
const LINK_CREATE: u32 = 28;
const ITER_CREATE: u32 = 33;

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
    // The program holds it as well; kept here to show where it is used.
    _table: Option<OwnedFd>,
}

impl Walk {
    /// Loads the program.
    pub fn new(step: Step) -> Result<Self> {
        let table = if step == Step::LookUp { Some(table()?) } else { None };
        let code = match &table {
            None => Code::default().end(),
            Some(table) => look_up(load::named(table)),
        };
        let target = function_id("bpf_iter_tcp")?;
        let program = load::program(Kind::Iterator(target), &code).context("cannot load a program for iter/tcp")?;
        let mut attribute = Attribute::default();
        attribute.set(0, descriptor(&program)).set(8, ATTACH_TRACE_ITER);
        let link = attribute.ask(LINK_CREATE).context("cannot attach to iter/tcp")?;
        Ok(Self { link, _table: table })
    }

    /// Walks once: how long it took, and how much processor time.
    pub fn walk(&self) -> Result<(Duration, Duration)> {
        let mut attribute = Attribute::default();
        attribute.set(0, descriptor(&self.link));
        let mut sockets = File::from(attribute.ask(ITER_CREATE).context("cannot begin a walk")?);
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

/// Words in a value of [`table`].
const WORDS: i16 = 8;

/// As leaktrace's table of sockets: allocated as it fills.
fn table() -> Result<OwnedFd> {
    load::map(Keeping::Hash, 8, 8 * WORDS as u32, 1 << 20, AS_IT_FILLS)
}

/// Looks the socket up by its address; reads the ends of the value if it is there, else inserts one of zeroes.
fn look_up(table: Map) -> Vec<u64> {
    const KEY: i16 = -8;
    const VALUE: i16 = KEY - 8 * WORDS;
    let mut code = Code::default();
    // The context's second word is the socket, null at the end.
    code.read(R6, R1, 8);
    let at_end = code.jump(R6, When::Zero);
    code.keep(KEY, R6);
    code.map(R1, table);
    code.place(R2, KEY.into());
    code.call(Helper::MapLookup);
    let unknown = code.jump(R0, When::Zero);
    code.read(R1, R0, 0);
    code.read(R2, R0, 8 * (WORDS - 1));
    let known = code.jump(R0, When::Always);
    code.land(unknown);
    (0..WORDS).for_each(|word| code.clear(VALUE + 8 * word));
    code.map(R1, table);
    code.place(R2, KEY.into());
    code.place(R3, VALUE.into());
    code.set(R4, 0);
    code.call(Helper::MapUpdate);
    code.land(known);
    code.land(at_end);
    code.end()
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
