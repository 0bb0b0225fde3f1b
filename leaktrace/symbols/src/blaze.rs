//! Wraps blazesym, which reads symbols and DWARF from files that it maps, and gives the pages of these files back.
//!
//! Pages that were read of a mapped file count as resident memory of this process, although the kernel's page cache holds them
//! anyway. No mapping may disappear while pages are given back, so everything that maps or unmaps a file takes one lock.
//! Must not decide which file is read, or how much of it: `symbolizer/cost.rs` does.

use blazesym::symbolize::source::{Elf as ElfSource, Source};
use blazesym::symbolize::{Input, Sym, Symbolized, Symbolizer, evict};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The lock for code that maps or unmaps a file, or needs files to stay mapped.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which parts of a file are searched for names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Within {
    /// Debug information, then symbols. blazesym also opens the files that this file names as having more debug information,
    /// without checking what they are.
    Everything,
    /// Symbols only.
    Symbols,
}

/// blazesym, with the tables of the files that it was asked about.
pub(crate) struct Blaze(Symbolizer);

impl Blaze {
    /// Starts without tables.
    pub(crate) fn new() -> Self {
        Self(empty())
    }

    /// The symbol at an address of the file at `path`; `None` when there is none or the file cannot be read.
    ///
    /// With debug information, blazesym also opens `path.dwp` without checking what it is. A path through a descriptor
    /// (`/proc/self/fd/N`) has no file beside it.
    pub(crate) fn find(&self, path: &Path, vaddr: u64, within: Within) -> Option<Sym<'_>> {
        let mut source = ElfSource::new(path);
        source.debug_syms = within == Within::Everything;
        let _turn = turn();
        // An error in debug information counts as no debug information: the caller then asks for symbols alone.
        match self.0.symbolize_single(&Source::Elf(source), Input::VirtOffset(vaddr)) {
            Ok(Symbolized::Sym(sym)) => Some(sym),
            _ => None,
        }
    }

    /// Drops the tables of the file at `path`. If blazesym cannot do that, drops the tables of all files and returns false.
    pub(crate) fn forget(&mut self, path: &Path) -> bool {
        let _turn = turn();
        let done = self.0.evict(&evict::Evict::Elf(evict::Elf::new(path))).is_ok();
        if !done {
            self.0 = empty();
        }
        done
    }
}

impl Drop for Blaze {
    fn drop(&mut self) {
        let _turn = turn();
        // Unmaps the files under the lock. The empty one that remains has mapped none.
        self.0 = empty();
    }
}

fn empty() -> Symbolizer {
    Symbolizer::builder().enable_code_info(true).enable_inlined_fns(true).enable_demangling(false).build()
}

/// Gives back the pages of all files that blazesym has mapped. Reading them again takes them from the page cache or the disk.
pub(crate) fn give_pages_back() {
    let _turn = turn();
    let Ok(maps) = std::fs::read("/proc/self/maps") else { return };
    for (start, end) in String::from_utf8_lossy(&maps).lines().filter_map(mapped_to_read) {
        // SAFETY: a shared, read-only file mapping: dropped pages are read again from the file with the same content. The lock
        // keeps blazesym from unmapping it meanwhile, so nothing else can be at this address.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
    }
}

/// Start and end of a mapping like blazesym's: shared, read-only, of a file with a path. `None` for other mappings.
fn mapped_to_read(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let is_shared = words.next()? == "r--s";
    let name = words.nth(3)?;
    let address = |digits| usize::from_str_radix(digits, 16).ok();
    // BPF maps have names without a directory, such as `anon_inode:bpf-map`.
    (is_shared && name.starts_with('/') && !name.starts_with("/dev/")).then_some((address(start)?, address(end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_are_mapped_to_be_read_are_touched() {
        let file = "7f6c97e00000-7f6ca5340000 r--s 00000000 fe:00 8123456    /tmp/a program (deleted)";
        assert_eq!(mapped_to_read(file), Some((0x7f6c_97e0_0000, 0x7f6c_a534_0000)));
        for other in [
            "7f6cf1f55000-7f6cf2756000 r--s 00000000 00:0f 1057        anon_inode:bpf-map",
            "7f6cf2756000-7f6cf2f57000 rw-s 00000000 fe:00 8123456     /tmp/a",
            "559c3848a000-559c38907000 r--p 00000000 fe:00 8123457     /usr/bin/leaktrace",
            "7f6cf2756000-7f6cf2f57000 r--s 00000000 00:06 12          /dev/mem",
            "7f6cec000000-7f6cefea9000 rw-p 00000000 00:00 0 ",
            "7f6cec000000-7f6cefea9000 r--s 00000000 00:00 0 ",
            "",
        ] {
            assert_eq!(mapped_to_read(other), None, "{other}");
        }
    }
}
