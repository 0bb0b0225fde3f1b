//! The mappings of a running process, and the files behind them.
//!
//! Everything is fetched through one handle, which refers to this process even if its id is reused. Has the files opened that naming needs
//! later. Must not open anything itself. Must not name functions, except generated code, whose names are lost when the process exits.

use super::fetch::{Direct, Fetch, Fetched, Wanted};
use super::identity::Identity;
use super::image::{Image, ImageError, Images};
use super::maps::{Backing, Mapping, Mappings};
use super::open;
use super::perf_map::{PerfMapFile, PerfMaps};
use super::work;
use leaktrace_model::{Location, Module, ModuleId, ModuleKind, Modules, Role};
use std::collections::HashMap;
use std::io;
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
    fetch: Arc<dyn Fetch>,
    handle: u64,
    mappings: Mappings,
    /// Modules of the mappings that were used, by the mapping's index.
    seen: HashMap<usize, Seen>,
    started_ticks: u64,
    /// `None` before the first frame of a stack in generated code.
    perf_map: Option<PerfMapFile>,
}

#[derive(Clone, Debug)]
struct Seen {
    id: Option<ModuleId>,
    kind: ModuleKind,
    image: Option<Arc<Image>>,
}

impl Drop for ProcessMaps {
    fn drop(&mut self) {
        self.fetch.release(self.handle);
    }
}

impl ProcessMaps {
    /// Whether there are no mappings: the process is exiting, or is a kernel thread.
    pub(crate) fn is_empty(&self) -> bool {
        self.mappings.as_slice().is_empty()
    }

    /// Reads the mappings of a running process with this process's own privileges.
    ///
    /// # Errors
    /// When the process has exited, or this one may not read it.
    pub fn read(pid: u32) -> Result<Self, ProcessError> {
        Self::read_by(&(Arc::new(Direct::default()) as Arc<dyn Fetch>), pid)
    }

    /// Reads the mappings of a running process.
    ///
    /// # Errors
    /// When the process has exited, or may not be read.
    pub(crate) fn read_by(fetch: &Arc<dyn Fetch>, pid: u32) -> Result<Self, ProcessError> {
        let Fetched { handle, mappings, started_ticks } =
            fetch.process(pid).map_err(|source| ProcessError { pid, source })?;
        Ok(Self {
            pid,
            fetch: Arc::clone(fetch),
            handle,
            mappings,
            seen: HashMap::new(),
            started_ticks,
            perf_map: None,
        })
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

    /// A copy of the process's memory; `None` when it cannot be read.
    pub(crate) fn memory(&self, address: u64, len: u64) -> Option<Vec<u8>> {
        work::begin_process(self.pid).ok()?;
        self.fetch.memory(self.handle, address, len)
    }

    fn open_perf_map(&self) -> PerfMapFile {
        let may_be_read = work::begin_process(self.pid).is_ok();
        let file = may_be_read.then(|| self.fetch.open(&Wanted::PerfMap { handle: self.handle })).flatten();
        file.map_or(PerfMapFile::Absent, PerfMapFile::New)
    }

    fn read_vdso(&self, mapping: &Mapping) -> Option<Image> {
        let len = mapping.end - mapping.start;
        if len > MAX_VDSO {
            return None;
        }
        Image::new(open::memory(&self.memory(mapping.start, len)?).ok()?, "[vdso]").ok()
    }
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
                let file = maps.perf_map.take().unwrap_or_else(|| maps.open_perf_map());
                let name = self.perf_maps.name(maps.pid, maps.started_ticks, lookup, &file).map(Into::into);
                maps.perf_map = Some(match file {
                    PerfMapFile::New(_) | PerfMapFile::Read => PerfMapFile::Read,
                    PerfMapFile::Absent => PerfMapFile::Absent,
                });
                Location { address, module: seen.id, offset: address, name }
            }
        }
    }

    /// Places a stack, leaf first: the first address is the instruction pointer, the others are return addresses.
    pub(crate) fn locate_stack(&mut self, maps: &mut ProcessMaps, addresses: &[u64]) -> Vec<Location> {
        maps.perf_map = None;
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
            Some(mapping) => self.module_of(maps, index, mapping),
            None => (nameless("", ModuleKind::Anonymous), None),
        };
        let kind = module.kind;
        let seen = Seen { id: self.modules.intern(module), kind, image };
        maps.seen.insert(index, seen.clone());
        seen
    }

    fn module_of(&self, maps: &ProcessMaps, index: usize, mapping: &Mapping) -> (Module, Option<Arc<Image>>) {
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
                let wanted = Wanted::Mapped { handle: maps.handle, mapping: index };
                // Opening may wait for ever.
                let file = work::begin_process(maps.pid).ok().and_then(|()| maps.fetch.open(&wanted));
                let Some(file) = file else { return (module, None) };
                let Ok(identity) = Identity::of(&file) else { return (module, None) };
                let image = match self.images.same(&identity) {
                    Some(image) => image,
                    None => match Image::new(file, path) {
                        Ok(mut image) => {
                            let _ = work::begin_process(maps.pid);
                            image.find_debug(maps.fetch.as_ref(), Some(maps.handle), path);
                            self.images.keep(image.content(), image)
                        }
                        Err(ImageError::Refused(_)) => {
                            let Identity { device, inode, size, modified_ns } = identity;
                            return (Module { device, inode, size, modified_ns, ..module }, None);
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
    use std::path::Path;

    #[test]
    fn this_process_is_placed_in_its_own_file() {
        let mut maps = ProcessMaps::read(std::process::id()).unwrap();
        let mut locator = Locator::default();
        let location = locator.locate(&mut maps, nameless as *const () as u64, Role::Leaf);
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
