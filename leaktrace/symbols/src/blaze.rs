//! blazesym, which reads symbols and DWARF, and the memory that it takes with the files it maps.
//!
//! Nothing else in this program maps files to read them. What was read of such a file counts as resident memory although
//! the kernel's cache has it anyway, and an index of debug information reads most of it: the pages are given back. For that
//! no mapping may go meanwhile, so all that can map or unmap a file takes its turn here.

use blazesym::symbolize::source::{Elf as ElfSource, Source};
use blazesym::symbolize::{Input, Sym, Symbolized, Symbolizer, evict};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by whoever maps or unmaps a file, or relies on files staying mapped.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where in a file names are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Within {
    /// Debug information, and symbols where there is none. What the file names to have more of it is opened, whatever it is.
    Everything,
    /// Symbols only.
    Symbols,
}

/// The tables of the files that were asked for.
pub(crate) struct Blaze(Symbolizer);

impl Blaze {
    /// No tables yet.
    pub(crate) fn new() -> Self {
        Self(empty())
    }

    /// What the file at `path` says of an address; `None` when it says nothing or cannot be read. With debug information,
    /// `path.dwp` is opened too, whatever it is, so the path should be one through a descriptor.
    pub(crate) fn find(&self, path: &Path, vaddr: u64, within: Within) -> Option<Sym<'_>> {
        let mut source = ElfSource::new(path);
        source.debug_syms = within == Within::Everything;
        let _turn = turn();
        // An error in debug information must not hide the symbols: it is as if there were none.
        match self.0.symbolize_single(&Source::Elf(source), Input::VirtOffset(vaddr)) {
            Ok(Symbolized::Sym(sym)) => Some(sym),
            _ => None,
        }
    }

    /// Drops the tables of the file at `path`; those of all files where that cannot be done for one. False then.
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
        // The files are unmapped here; there are none of the one that is dropped after this.
        self.0 = empty();
    }
}

fn empty() -> Symbolizer {
    Symbolizer::builder().enable_code_info(true).enable_inlined_fns(true).enable_demangling(false).build()
}

/// Gives back the pages of all mapped files. What is read again comes from the kernel's cache, or the disk.
pub(crate) fn give_pages_back() {
    let _turn = turn();
    let Ok(maps) = std::fs::read("/proc/self/maps") else { return };
    for (start, end) in String::from_utf8_lossy(&maps).lines().filter_map(mapped_to_read) {
        // SAFETY: the mapping is shared and of a file, from which its pages come again with the same content; it is
        // blazesym's, so nothing else is mapped there while this turn lasts.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
    }
}

/// Start and end of a mapping as blazesym makes them: of a named file, shared, to be read only.
fn mapped_to_read(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let is_shared = words.next()? == "r--s";
    let name = words.nth(3)?;
    let address = |digits| usize::from_str_radix(digits, 16).ok();
    // Maps of the kernel side have names without a directory.
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
