//! The mappings of a running process, and the files behind them.
//!
//! Everything is read through one handle on `/proc/PID`, which refers to this process even if its id is reused. Opens the files
//! that naming needs later. Must not name functions, except generated code, whose names are lost when the process exits.

use super::image::{Identity, Image, Images};
use super::maps::{Backing, MAX_TEXT, Mapping, Mappings};
use super::open;
use super::perf_map::PerfMaps;
use leaktrace_model::{Location, Module, ModuleId, ModuleKind, Modules, Role};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Largest vDSO that is read, in bytes.
const MAX_VDSO: u64 = 64 << 10;

/// The maps of a process cannot be read.
#[derive(Debug, Error)]
#[error("cannot read the maps of process {pid}: {source}; it may have exited, or belong to another user")]
pub struct ProcessError {
    pid: u32,
    source: io::Error,
}

/// The mappings of a process at one moment. Read them again for the next stacks: an `exec` or a `dlopen` changes them.
#[derive(Debug)]
pub struct ProcessMaps {
    pid: u32,
    proc: File,
    mappings: Mappings,
    /// Modules of the mappings that were used, by the mapping's index.
    seen: HashMap<usize, Seen>,
    started_ticks: u64,
}

#[derive(Clone, Debug)]
struct Seen {
    id: Option<ModuleId>,
    kind: ModuleKind,
    image: Option<Arc<Image>>,
}

impl ProcessMaps {
    /// Whether there are no mappings: the process is exiting, or is a kernel thread.
    pub(crate) fn is_empty(&self) -> bool {
        self.mappings.as_slice().is_empty()
    }

    /// Reads the mappings of a running process.
    ///
    /// # Errors
    /// When the process has exited, or this one may not read it.
    pub fn read(pid: u32) -> Result<Self, ProcessError> {
        let read = || {
            let proc = open::handle(Path::new(&format!("/proc/{pid}")))?;
            let mut text = Vec::new();
            File::open(open::path_of(&proc).join("maps"))?.take(MAX_TEXT).read_to_end(&mut text)?;
            let stat = std::fs::read(open::path_of(&proc).join("stat"))?;
            let started_ticks = started_ticks(&stat).unwrap_or_default();
            Ok(Self { pid, proc, mappings: Mappings::parse(&text), seen: HashMap::new(), started_ticks })
        };
        read().map_err(|source| ProcessError { pid, source })
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Start of the process, in clock ticks since boot. Distinguishes it from a later process with the same id.
    pub(crate) fn started_ticks(&self) -> u64 {
        self.started_ticks
    }

    /// The executable mappings.
    pub(crate) fn mappings(&self) -> &Mappings {
        &self.mappings
    }

    fn path(&self, name: &str) -> PathBuf {
        open::path_of(&self.proc).join(name)
    }

    fn root(&self) -> Option<File> {
        open::handle(&self.path("root")).ok()
    }

    /// Opens the mapped file: through `map_files` where that is permitted, else the file with its path, device and inode.
    fn open(&self, mapping: &Mapping, path: &str) -> Option<File> {
        let direct = self.path(&format!("map_files/{:x}-{:x}", mapping.start, mapping.end));
        if let Ok(file) = open::regular(&direct) {
            return Some(file);
        }
        let same = |file: &File| {
            let number = libc::makedev(mapping.device.0, mapping.device.1);
            file.metadata().is_ok_and(|meta| meta.ino() == mapping.inode && meta.dev() == number)
        };
        let inside = self.root().and_then(|root| open::regular_in(&root, Path::new(path)).ok()).filter(same);
        inside.or_else(|| open::regular(Path::new(path)).ok().filter(same))
    }

    fn open_perf_map(&self) -> Option<File> {
        let status = std::fs::read_to_string(self.path("status")).ok()?;
        let ids = status.lines().find_map(|line| line.strip_prefix("NStgid:"));
        let inner: u32 = ids.and_then(|ids| ids.split_ascii_whitespace().last()?.parse().ok()).unwrap_or(self.pid);
        let owner = std::fs::metadata(self.path("")).ok()?.uid();
        // Any user can write into /tmp, so only a file of the process's user or of root is used.
        let trusted = |file: &File| file.metadata().is_ok_and(|meta| meta.uid() == owner || meta.uid() == 0);
        let inside = open::regular_in(&self.root()?, Path::new(&format!("/tmp/perf-{inner}.map"))).ok();
        inside
            .filter(trusted)
            .or_else(|| open::regular(Path::new(&format!("/tmp/perf-{}.map", self.pid))).ok().filter(trusted))
    }

    /// A copy of the process's memory; `None` when it cannot be read.
    pub(crate) fn memory(&self, address: u64, len: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        File::open(self.path("mem")).ok()?.read_exact_at(&mut bytes, address).ok()?;
        Some(bytes)
    }

    fn read_vdso(&self, mapping: &Mapping) -> Option<Image> {
        let len = mapping.end - mapping.start;
        if len > MAX_VDSO {
            return None;
        }
        Image::new(open::memory(&self.memory(mapping.start, len)?).ok()?).ok()
    }
}

/// Field 22 of `/proc/PID/stat`. The name in field 2 may contain any character, also parentheses and spaces.
fn started_ticks(stat: &[u8]) -> Option<u64> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    std::str::from_utf8(stat.get(name_end + 1..)?).ok()?.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Turns addresses of running processes into [`Location`]s, and keeps the files open that naming them needs.
#[derive(Debug, Default)]
pub struct Locator {
    modules: Modules,
    images: Images,
    perf_maps: PerfMaps,
}

impl Locator {
    /// A locator that interns modules in `modules` and keeps files in `images`.
    pub(crate) fn new(modules: Modules, images: Images) -> Self {
        Self { modules, images, perf_maps: PerfMaps::default() }
    }

    /// The modules of the locations so far.
    pub fn modules(&self) -> &Modules {
        &self.modules
    }

    /// The open files.
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// Places an address. A return address belongs to the call before it, so `role` decides which byte is looked up.
    pub fn locate(&mut self, maps: &mut ProcessMaps, address: u64, role: Role) -> Location {
        let lookup = role.lookup(address);
        let Some((index, mapping)) = maps.mappings.at(lookup) else { return Location::unmapped(address) };
        let (start, offset) = (mapping.start, mapping.offset);
        let seen = self.see(maps, index);
        let in_file = offset.wrapping_add(address.wrapping_sub(start));
        match seen.kind {
            ModuleKind::File | ModuleKind::Deleted => {
                Location { address, module: seen.id, offset: in_file, name: None }
            }
            ModuleKind::Vdso => Location { address, module: seen.id, offset: address.wrapping_sub(start), name: None },
            ModuleKind::Jit | ModuleKind::Anonymous => {
                let name = self.perf_maps.name(maps.pid, maps.started_ticks, lookup, || maps.open_perf_map());
                let name = name.map(Into::into);
                Location { address, module: seen.id, offset: address, name }
            }
        }
    }

    /// Places a stack, leaf first: the first address is the instruction pointer, the others are return addresses.
    pub(crate) fn locate_stack(&mut self, maps: &mut ProcessMaps, addresses: &[u64]) -> Vec<Location> {
        let place = |(depth, &address): (usize, &u64)| self.locate(maps, address, Role::at_depth(depth));
        addresses.iter().enumerate().map(place).collect()
    }

    /// The open file that is mapped at an address, and the offset in it. For unwinding.
    pub(crate) fn image_at(&mut self, maps: &mut ProcessMaps, address: u64) -> Option<(Arc<Image>, u64)> {
        let (index, mapping) = maps.mappings.at(address)?;
        let (start, offset) = (mapping.start, mapping.offset);
        let seen = self.see(maps, index);
        let offset = if seen.kind == ModuleKind::Vdso { 0 } else { offset };
        Some((seen.image?, offset.checked_add(address - start)?))
    }

    /// Whether a return address is in a function in which a goroutine or a thread of a Go program starts.
    pub(crate) fn is_go_root(&mut self, maps: &mut ProcessMaps, address: u64) -> bool {
        let found = self.image_at(maps, Role::Return.lookup(address)).and_then(|(image, offset)| {
            let vaddr = image.elf.vaddr_of(offset)?;
            Some(image.go()?.is_root(&image.bytes, vaddr))
        });
        found.unwrap_or(false)
    }

    fn see(&mut self, maps: &mut ProcessMaps, index: usize) -> Seen {
        if let Some(seen) = maps.seen.get(&index) {
            return seen.clone();
        }
        let (module, image) = match maps.mappings.as_slice().get(index) {
            Some(mapping) => self.module_of(maps, mapping),
            None => (nameless("", ModuleKind::Anonymous), None),
        };
        let kind = module.kind;
        let seen = Seen { id: self.modules.intern(module), kind, image };
        maps.seen.insert(index, seen.clone());
        seen
    }

    fn module_of(&self, maps: &ProcessMaps, mapping: &Mapping) -> (Module, Option<Arc<Image>>) {
        match &mapping.backing {
            Backing::Anonymous => (nameless("[jit]", ModuleKind::Jit), None),
            Backing::Special(name) => (nameless(name, ModuleKind::Anonymous), None),
            Backing::Vdso => {
                let image = maps.read_vdso(mapping);
                let mut module = nameless("[vdso]", ModuleKind::Vdso);
                if let Some(image) = &image {
                    module.build_id = image.elf.build_id.clone();
                    module.size = image.identity().size;
                }
                let image = image.map(|image| self.images.keep(image.content(), image));
                (module, image)
            }
            Backing::File { path, deleted } => {
                let kind = if *deleted { ModuleKind::Deleted } else { ModuleKind::File };
                let mut module = nameless(path, kind);
                module.inode = mapping.inode;
                module.device = libc::makedev(mapping.device.0, mapping.device.1);
                let Some(file) = maps.open(mapping, path) else { return (module, None) };
                let Ok(identity) = Identity::of(&file) else { return (module, None) };
                let image = match self.images.same(&identity) {
                    Some(image) => image,
                    None => match Image::new(file) {
                        Ok(mut image) => {
                            image.find_debug(maps.root().as_ref(), path);
                            self.images.keep(image.content(), image)
                        }
                        // Not ELF: a runtime's generated code, which some runtimes map from a file in memory.
                        Err(_) => return (nameless("[jit]", ModuleKind::Jit), None),
                    },
                };
                let Identity { device, inode, size, modified_ns } = identity;
                let build_id = image.elf.build_id.clone();
                (Module { device, inode, size, modified_ns, build_id, ..module }, Some(image))
            }
        }
    }
}

fn nameless(path: &str, kind: ModuleKind) -> Module {
    Module { path: path.to_owned(), kind, device: 0, inode: 0, size: 0, modified_ns: 0, build_id: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_skip::{Lack, skip};

    #[test]
    fn this_process_is_placed_in_its_own_file() {
        let mut maps = ProcessMaps::read(std::process::id()).unwrap();
        let mut locator = Locator::default();
        let location = locator.locate(&mut maps, started_ticks as *const () as u64, Role::Leaf);
        let module = locator.modules().get(location.module.unwrap()).unwrap();
        assert_eq!(Path::new(&module.path), std::env::current_exe().unwrap());
        let image = locator.images().of(&module).unwrap();
        assert_eq!(image.elf.section_at(image.elf.vaddr_of(location.offset).unwrap()).unwrap().name, ".text");
        assert!(maps.started_ticks() > 0);
    }

    #[test]
    fn an_address_where_nothing_is_mapped_stays_a_number() {
        let mut maps = ProcessMaps::read(std::process::id()).unwrap();
        assert_eq!(Locator::default().locate(&mut maps, 12, Role::Leaf), Location::unmapped(12));
    }

    #[test]
    fn a_process_that_is_gone_is_an_error_that_says_so() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let error = ProcessMaps::read(pid).unwrap_err().to_string();
        assert!(error.contains("may have exited"), "{error}");
    }

    #[test]
    fn a_process_that_exits_halfway_leaves_what_the_maps_said() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        // Before the exec, the child still has this test's mappings. Either is fine here.
        let mut maps = ProcessMaps::read(child.id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let first = maps.mappings().as_slice()[0].start;
        let mut locator = Locator::default();
        let location = locator.locate(&mut maps, first, Role::Leaf);
        assert!(!locator.modules().get(location.module.unwrap()).unwrap().path.is_empty());
    }

    #[test]
    fn the_start_of_a_process_is_found_behind_any_name() {
        let stat = b"7 (a ) (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(started_ticks(stat), Some(4242));
        assert_eq!(started_ticks(b"7 (a"), None);
    }

    #[test]
    fn the_vdso_is_read_from_memory() {
        let mut maps = ProcessMaps::read(std::process::id()).unwrap();
        // SAFETY: reads this process's own auxiliary vector.
        if unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) } == 0 {
            return skip(Lack::Machine("this kernel gives its processes no vDSO"));
        }
        let vdso = maps.mappings().as_slice().iter().find(|mapping| mapping.backing == Backing::Vdso);
        let start = vdso.map(|mapping| mapping.start).unwrap();
        let mut locator = Locator::default();
        let location = locator.locate(&mut maps, start + 0x800, Role::Leaf);
        assert_eq!(location.offset, 0x800);
        let module = locator.modules().get(location.module.unwrap()).unwrap();
        assert_eq!(module.kind, ModuleKind::Vdso);
        assert!(locator.images().of(&module).is_some());
    }
}
