//! Loading the kernel side: the object that the build put inside this program, with maps and settings for this kernel.

use super::{facts::KernelFacts, relocations};
use crate::{error::StartError, request::Stacks};
use aya::{Btf, Ebpf, EbpfLoader};
use leaktrace_common::{MAX_RATED, MAX_TREE, SetupWide, setup_flags};
use leaktrace_model::StackSample;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

/// The object as built; empty where the build went without the kernel side.
pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/leaktrace"));

/// `BPF_F_NO_PREALLOC`: entries are allocated as they are used.
const NO_PREALLOC: u32 = 1;

/// Room for sockets that an exit closed: 25,000 between two reads.
const LEFT_BYTES: u32 = 1 << 22;

/// The smallest ring buffer that the kernel makes: one page.
const SMALLEST_RING: u32 = 4096;

/// What the kernel side is loaded with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadOptions {
    /// Stack capture.
    pub stacks: Stacks,
    /// Whether new call sites also get a copy of their user stack.
    pub copies: bool,
    /// Entries of the table of sockets.
    pub max_sockets: u32,
    /// Whether the tree of one command is followed and nothing else.
    pub tree: bool,
}

/// Loads the object; nothing is attached yet.
pub(crate) fn load(facts: &KernelFacts, btf: &Btf, options: &LoadOptions) -> Result<Ebpf, StartError> {
    if OBJECT.is_empty() {
        return Err(StartError::NoKernelObject);
    }
    let mut setup = facts.setup;
    if options.stacks != Stacks::Off {
        setup.flags |= setup_flags::STACKS;
        if options.copies {
            setup.flags |= setup_flags::STACK_COPIES;
        }
    }
    let mut rated_processes = 1;
    if let Stacks::Sample(StackSample { one_in, above_per_s }) = options.stacks {
        setup.flags |= setup_flags::STACK_SAMPLE;
        (setup.sample_one_in, setup.sample_above) = (one_in.get(), above_per_s);
        rated_processes = MAX_RATED;
    }
    if options.tree {
        setup.flags |= setup_flags::TREE;
    }
    let (tree_processes, left_bytes) = if options.tree { (MAX_TREE, LEFT_BYTES) } else { (1, SMALLEST_RING) };
    let mut object = OBJECT.to_vec();
    if facts.allocates_safely() {
        add_map_flags(&mut object, "SOCKETS", NO_PREALLOC);
        add_map_flags(&mut object, "CALLSITE_INDEX", NO_PREALLOC);
        add_map_flags(&mut object, "FINE_CALLSITES", NO_PREALLOC);
        add_map_flags(&mut object, "COPY_RATES", NO_PREALLOC);
    }
    relocations::fill(&mut object, facts, &setup, &SetupWide { seed: random_seed() });
    raise_memlock();
    EbpfLoader::new()
        .btf(Some(btf))
        .map_max_entries("SOCKETS", options.max_sockets)
        .map_max_entries("OPEN_RATES", rated_processes)
        .map_max_entries("TREE", tree_processes)
        .map_max_entries("LEFT", left_bytes)
        .load(&object)
        .map_err(|error| StartError::load(&error))
}

/// Sets flags in the definition of a map in an object, because aya has no function for that. An object without that map stays as it
/// is; loading it will report what is wrong.
fn add_map_flags(object: &mut [u8], map: &str, flags: u32) {
    const MAP_FLAGS_AT: usize = 16;
    let position = || {
        let file = object::File::parse(&*object).ok()?;
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok(map))?;
        let section = file.section_by_index(symbol.section_index()?).ok()?;
        if section.name() != Ok("maps") {
            return None;
        }
        let (start, size) = section.file_range()?;
        let at = usize::try_from(start + symbol.address()).ok()? + MAP_FLAGS_AT;
        (symbol.address() + MAP_FLAGS_AT as u64 + 4 <= size).then_some(at)
    };
    if let Some(at) = position()
        && let Some(bytes) = object.get_mut(at..at + 4)
        && let Ok(current) = <[u8; 4]>::try_from(&*bytes)
    {
        bytes.copy_from_slice(&(u32::from_ne_bytes(current) | flags).to_ne_bytes());
    }
}

/// A random start value for the stack hash, so that no program can prepare stacks that collide.
fn random_seed() -> u64 {
    let mut seed = [0_u8; 8];
    // SAFETY: the buffer has the stated length.
    let _ = unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), libc::GRND_NONBLOCK) };
    u64::from_ne_bytes(seed)
}

/// Raises RLIMIT_MEMLOCK, which limits maps before 5.11. If the kernel refuses, loading reports whether that matters.
fn raise_memlock() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the argument is a valid limit.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) };
}

#[cfg(test)]
mod tests;
