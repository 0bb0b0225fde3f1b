//! Decides whether the frame-pointer walk of a process can be trusted. That depends on the code that it has mapped.
//!
//! The unwind tables show it: in code with frame pointers, the rules of nearly every function with a frame use `rbp` as the
//! base; in other code, almost none do. Decided once per file content.

use super::c_library::is_libc;
use super::image::Image;
use super::maps::Backing;
use super::process::{Locator, ProcessMaps};
use super::unwind::{Table, Unwinder};
use gimli::{CfaRule, X86_64};
use leaktrace_model::Content;
use std::collections::HashMap;

/// Functions of one file that are sampled.
const SAMPLE: usize = 500;
/// Most files in the cache.
const MAX_FILES: usize = 16_384;
/// Mapped files of one process that are checked. With more, its walk is not trusted: reading them takes too long.
const MOST_MAPPED: usize = 1024;
/// Percentage of functions that must use frame pointers. Not all: start-up code and hand-written assembly never do.
const ENOUGH_PERCENT: usize = 90;

/// Whether a file's code keeps frame pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FramePointers {
    /// Nearly every function that has a frame uses a frame pointer.
    Kept,
    /// Too few functions do.
    NotKept,
    /// Not known: the file has no tables, or no function with a frame.
    Unknown,
}

/// How far the frame-pointer walk of a process can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Trust {
    /// All code uses frame pointers: the walk finds every caller.
    Everywhere,
    /// All code except the C library. The walk can miss the C library's frames at the leaf and at the root, and one caller:
    /// with several threads, glibc's `connect` has a frame, so the return address is not at the stack pointer.
    ExceptLibc,
    /// The walk may skip any caller.
    Nowhere,
}

/// Caches the result for each file.
#[derive(Debug, Default)]
pub(crate) struct TrustCache {
    files: HashMap<Content, FramePointers>,
}

impl TrustCache {
    /// Checks the files that a process has mapped. Reads files not seen before, so call it once per process.
    pub(crate) fn of_process(
        &mut self,
        locator: &mut Locator,
        maps: &mut ProcessMaps,
        unwinder: &mut Unwinder,
    ) -> Trust {
        let starts: Vec<(u64, bool)> = maps
            .mappings()
            .as_slice()
            .iter()
            .filter_map(|mapping| match &mapping.backing {
                Backing::File { path, .. } => Some((mapping.start, is_libc(path))),
                _ => None,
            })
            .collect();
        if starts.len() > MOST_MAPPED {
            return Trust::Nowhere;
        }
        let mut trust = Trust::Everywhere;
        for (start, is_libc) in starts {
            let Some((image, _)) = locator.image_at(maps, start) else { continue };
            match self.of_file(&image, unwinder) {
                FramePointers::Kept => {}
                // A library with only data, or only functions without frames, breaks no walk. A C library without tables does.
                FramePointers::Unknown if !is_libc => {}
                _ if is_libc => trust = Trust::ExceptLibc,
                _ => return Trust::Nowhere,
            }
        }
        trust
    }

    /// Whether a file's code keeps frame pointers.
    pub(crate) fn of_file(&mut self, image: &Image, unwinder: &mut Unwinder) -> FramePointers {
        let content = image.content();
        if let Some(known) = self.files.get(&content) {
            return *known;
        }
        let found = if is_go(image) {
            // Go uses frame pointers since 1.7 on x86-64. C code that is linked in runs on another stack.
            FramePointers::Kept
        } else {
            unwinder.table(image).map_or(FramePointers::Unknown, |table| judge(&table))
        };
        if self.files.len() >= MAX_FILES {
            self.files.clear();
        }
        self.files.insert(content, found);
        found
    }
}

fn is_go(image: &Image) -> bool {
    [".gopclntab", ".data.rel.ro.gopclntab", ".go.buildinfo", ".note.go.buildid"]
        .iter()
        .any(|name| image.elf.section(name).is_some())
}

fn judge(table: &Table) -> FramePointers {
    let (mut with_frame, mut kept) = (0_usize, 0_usize);
    table.sample(SAMPLE, |mut rows| {
        let (mut makes_frame, mut keeps, mut is_stub) = (false, false, false);
        while let Ok(Some(row)) = rows.next_row() {
            match row.cfa() {
                // 8 bytes are the return address alone; 16 are also the alignment for a call, or a push of rbp.
                CfaRule::RegisterAndOffset { register, offset } if *register == X86_64::RSP => {
                    makes_frame |= *offset > 16
                }
                CfaRule::RegisterAndOffset { register, .. } if *register == X86_64::RBP => keeps = true,
                // The linker's jump table (PLT): never on a stack as a caller.
                CfaRule::Expression(_) => is_stub = true,
                CfaRule::RegisterAndOffset { .. } => {}
            }
        }
        if is_stub && !keeps {
            return;
        }
        with_frame += usize::from(makes_frame || keeps);
        kept += usize::from(keeps);
    });
    match with_frame {
        0 => FramePointers::Unknown,
        _ if kept * 100 >= with_frame * ENOUGH_PERCENT => FramePointers::Kept,
        _ => FramePointers::NotKept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        open,
        testing::{Running, Scratch},
    };
    use std::process::Command;

    const C: &str = "#include <stdio.h>\n#include <unistd.h>\n
        #define KEEP __attribute__((noinline))
        KEEP int f(int n) { volatile int a[8]; a[n & 7] = n; puts(\"f\"); return a[n & 7]; }
        KEEP int g(int n) { volatile int b[99]; b[n] = f(n); return b[n] + f(n + 1); }
        KEEP int h(int n) { return g(n) + g(n * 2) + g(n * 3); }
        int main(int argc, char **argv) { h(argc); fflush(stdout); pause(); return 0; }";

    fn judged(scratch: &Scratch, flags: &str) -> Option<FramePointers> {
        scratch.run(&format!("cc {flags} -o a a.c"))?;
        let image = Image::new(open::regular(&scratch.path("a")).unwrap(), "a").unwrap();
        Some(TrustCache::default().of_file(&image, &mut Unwinder::default()))
    }

    #[test]
    fn files_are_judged_by_how_they_were_compiled() {
        let scratch = Scratch::new();
        scratch.write("a.c", C);
        for (flags, expected) in [
            ("-O2 -fno-omit-frame-pointer", FramePointers::Kept),
            ("-O0", FramePointers::Kept),
            ("-O2 -fomit-frame-pointer", FramePointers::NotKept),
            ("-O3", FramePointers::NotKept),
            ("-O2 -fno-omit-frame-pointer -static", FramePointers::NotKept),
        ] {
            let Some(found) = judged(&scratch, flags) else { return };
            assert_eq!(found, expected, "{flags}");
        }
    }

    #[test]
    fn a_process_is_trusted_no_further_than_its_libraries() {
        let scratch = Scratch::new();
        scratch.write("a.c", C);
        let trust = |flags: &str| {
            scratch.run(&format!("cc {flags} -o a a.c"))?;
            let running = Running::start(&mut Command::new(scratch.path("a")));
            let mut maps = ProcessMaps::read(running.pid()).unwrap();
            let mut locator = Locator::default();
            Some(TrustCache::default().of_process(&mut locator, &mut maps, &mut Unwinder::default()))
        };
        let Some(with) = trust("-O2 -fno-omit-frame-pointer") else { return };
        assert!(matches!(with, Trust::ExceptLibc | Trust::Everywhere), "depends on the C library here: {with:?}");
        assert_eq!(trust("-O2"), Some(Trust::Nowhere));
    }
}
