//! Names locations: function, file, line, and inlined functions.
//!
//! `tables.rs` reads the files. This file decides which one is asked, caches the names, and bounds memory: the tables of a file
//! are dropped when they are large or were not used for a while; the names from them stay. Must not guess: an uncertain
//! location stays module and offset.

use super::c_library::is_libc;
use super::cache::FrameCache;
use super::demangle::readable;
use super::dwarf::{Found, Named as FoundFunction};
use super::gopclntab::{Named, Place};
use super::image::{Image, Images};
use super::mapped::give_pages_back;
use super::perf_map;
use super::symtab::Symbol;
use super::tables::{Tables, Within};
use leaktrace_model::{Content, Frame, Location, Module, ModuleId, ModuleKind, Modules, Resolve, Role};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// Default of `--symbol-cache`, in bytes.
pub const DEFAULT_CACHE_BYTES: usize = 32 << 20;

/// Bytes read of mapped files (an estimate) after which their pages are given back.
const MOST_READ: u64 = 32 << 20;

/// Names locations. Not `Send`, because tables of files are not: create it on the thread that uses it.
pub struct Symbolizer {
    modules: Modules,
    images: Images,
    frames: FrameCache,
    /// The first module with each content. It stands for all modules with this content.
    by_content: HashMap<Content, ModuleId>,
    representatives: HashMap<ModuleId, Option<(ModuleId, Arc<Module>)>>,
    /// Files that were read, by the address of their image.
    parsed: HashMap<usize, Parsed>,
    clock: u64,
    /// The value of `clock` at the last call of [`Self::forget_unused`].
    mark: u64,
    /// Bytes read of mapped files (an estimate) since their pages were given back.
    read: u64,
    limit: usize,
    /// Bytes that this process has allocated.
    allocated: Option<fn() -> usize>,
}

struct Parsed {
    /// Keeps the image, so that its address stays the key of this file.
    _image: Arc<Image>,
    tables: Tables,
    bytes: usize,
    used: u64,
}

impl Symbolizer {
    /// A symbolizer for locations in `modules`, whose files are in `images`. Keeps about `limit` bytes.
    pub fn new(modules: Modules, images: Images, limit: usize) -> Self {
        Self {
            modules,
            images,
            frames: FrameCache::new(limit / 4),
            by_content: HashMap::new(),
            representatives: HashMap::new(),
            parsed: HashMap::new(),
            clock: 0,
            mark: 0,
            read: 0,
            limit,
            allocated: None,
        }
    }

    /// Counts the memory of tables by what the allocator says: `allocated` gives the bytes that are allocated now. Without it, the
    /// sizes of the tables are added up, and the small parts that other crates keep are estimated.
    #[must_use]
    pub fn with_allocated(mut self, allocated: fn() -> usize) -> Self {
        self.allocated = Some(allocated);
        self
    }

    /// Names a stack, leaf first. Each location gives one frame, and before it the frames of inlined functions, innermost
    /// first. All addresses except the first are return addresses.
    pub fn resolve(&mut self, stack: &[Location]) -> Vec<Vec<Frame>> {
        let frames =
            stack.iter().enumerate().map(|(depth, place)| self.resolve_one(place, Role::at_depth(depth))).collect();
        self.shrink();
        if self.read > MOST_READ {
            self.settle();
        }
        frames
    }

    /// Drops the tables that do not fit, and gives back the pages of files that were read. Call it after a round of naming; costs
    /// nothing if no file was read.
    pub fn settle(&mut self) {
        self.shrink();
        if std::mem::take(&mut self.read) > 0 {
            give_pages_back();
        }
    }

    /// Drops the tables and pages of files that were not used since the last call. Returns whether there were any.
    pub fn forget_unused(&mut self) -> bool {
        let mark = std::mem::replace(&mut self.mark, self.clock);
        let count = self.parsed.len();
        self.parsed.retain(|_, parsed| parsed.used > mark);
        self.images.forget_unused_pages() || self.parsed.len() < count
    }

    /// Names one location.
    pub(crate) fn resolve_one(&mut self, place: &Location, role: Role) -> Vec<Frame> {
        let Some(id) = place.module else { return vec![nameless(place, None)] };
        let Some(module) = self.modules.get(id) else { return vec![nameless(place, None)] };
        if matches!(module.kind, ModuleKind::Jit | ModuleKind::Anonymous) {
            return vec![generated(place, &module)];
        }
        let Some(frames) = self.frames_at(place, role) else { return vec![nameless(place, Some(&module))] };
        frames.iter().map(|frame| finish(frame, place, role.lookup(place.offset), &module)).collect()
    }

    /// The frames of a place in a file, innermost first, as all processes share them: [`finish`] adds what is of one process.
    /// `None` when the file is not available; it may be later.
    pub(crate) fn frames_at(&mut self, place: &Location, role: Role) -> Option<Arc<[Frame]>> {
        let id = place.module?;
        let module = self.modules.get(id)?;
        let (key, module_of_content) = self.representative(id, &module)?;
        let lookup = role.lookup(place.offset);
        if let Some(frames) = self.frames.get((key, lookup)) {
            return Some(frames);
        }
        let frames: Arc<[Frame]> = self.look_up(&module_of_content, lookup)?.into();
        self.frames.insert((key, lookup), Arc::clone(&frames));
        Some(frames)
    }

    /// Memory in use, in bytes: tables of files as [`Self::with_allocated`] says, and names.
    pub fn bytes(&self) -> usize {
        self.frames.bytes() + self.table_bytes()
    }

    fn table_bytes(&self) -> usize {
        self.parsed.values().map(|parsed| parsed.bytes).fold(0, usize::saturating_add)
    }

    fn representative(&mut self, id: ModuleId, module: &Arc<Module>) -> Option<(ModuleId, Arc<Module>)> {
        let (by_content, modules) = (&mut self.by_content, &self.modules);
        let find = || {
            let first = *by_content.entry(module.content()?).or_insert(id);
            Some((first, modules.get(first)?))
        };
        self.representatives.entry(id).or_insert_with(find).clone()
    }

    /// The frames at an offset of a module's file; `None` when the file is not available.
    fn look_up(&mut self, module: &Module, file_offset: u64) -> Option<Vec<Frame>> {
        let image = self.images.of(module)?;
        let Some(vaddr) = image.elf.vaddr_of(file_offset) else { return Some(vec![unknown(file_offset)]) };
        // Go's own tables before DWARF: the same names in microseconds, also in stripped files.
        if let Some(place) = image.go().and_then(|go| go.place(&image.bytes, vaddr)) {
            return Some(go_frames(place, vaddr));
        }
        let debug = image.debug.clone().filter(|debug| debug.is_unchanged());
        // No lines for the C library: a line in `connect` helps in no diagnosis, and indexing glibc's debug information took
        // 29 to 50 ms of the 88 to 115 ms of processor time of a four-second report (four pairs of runs under churn).
        let most = if is_libc(&module.path) { Within::Symbols } else { Within::Everything };
        let own = if debug.is_some() { Within::Symbols } else { most };
        let found = debug
            .and_then(|debug| self.ask(&debug, vaddr, most))
            .or_else(|| self.ask(&image, vaddr, own))
            .unwrap_or_else(|| vec![unknown(vaddr)]);
        Some(found)
    }

    /// The frames that the tables of a file give for an address.
    fn ask(&mut self, image: &Arc<Image>, vaddr: u64, within: Within) -> Option<Vec<Frame>> {
        image.begin();
        let allocated = || self.allocated.map(|allocated| allocated());
        let before = allocated();
        let parsed = match self.parsed.entry(Arc::as_ptr(image).addr()) {
            Entry::Occupied(parsed) => parsed.into_mut(),
            Entry::Vacant(place) => {
                let tables = Tables::open(image)?;
                place.insert(Parsed { _image: Arc::clone(image), tables, bytes: 0, used: 0 })
            }
        };
        self.clock += 1;
        parsed.used = self.clock;
        let tables = &mut parsed.tables;
        self.read = self.read.saturating_add(tables.lookup_bytes());
        let found = if within == Within::Everything { tables.debug(vaddr) } else { None };
        let symbol = tables.symbol(vaddr);
        parsed.bytes = match before.zip(allocated()) {
            Some((before, after)) => {
                let answer = found.as_ref().map_or(0, Found::bytes) + symbol.as_ref().map_or(0, |s| s.name.capacity());
                (parsed.bytes + after).saturating_sub(before + answer)
            }
            None => tables.bytes(),
        };
        match found {
            Some(found) => frames_of(found, symbol, vaddr),
            None => symbol.map(|symbol| vec![frame_of(&symbol, vaddr)]),
        }
    }

    /// Drops the tables of the least recently used files until the rest fits.
    fn shrink(&mut self) {
        let room = self.limit - self.limit / 4;
        while self.table_bytes() > room {
            let oldest = self.parsed.iter().min_by_key(|(_, parsed)| parsed.used).map(|(key, _)| *key);
            let Some(key) = oldest else { return };
            self.parsed.remove(&key);
        }
    }
}

impl Resolve for Symbolizer {
    fn resolve(&mut self, stack: &[Location]) -> Vec<Vec<Frame>> {
        Self::resolve(self, stack)
    }
}

/// The frames of what debug information says about an address. A symbol gives what it does not say: the name of a function of
/// which only a line is known, or the start of one that has several pieces, for example a cold one.
fn frames_of(found: Found, symbol: Option<Symbol>, vaddr: u64) -> Option<Vec<Frame>> {
    let Found { functions, bounds, is_function } = found;
    let last = functions.len().checked_sub(1)?;
    let frame = |function: &FoundFunction, name: &str| Frame {
        symbol: Some(readable(name)),
        file: function.file.clone(),
        line: function.line,
        ..Frame::default()
    };
    let mut frames: Vec<Frame> = functions[..last]
        .iter()
        .filter_map(|function| Some(Frame { inlined: true, ..frame(function, function.name.as_deref()?) }))
        .collect();
    let function = &functions[last];
    let own = match function.name.as_deref().filter(|_| is_function) {
        Some(name) => {
            let whole = symbol.filter(|symbol| bounds.is_none() && symbol.name == name);
            let start = bounds.map(|(start, _)| start).or(whole.map(|symbol| symbol.address));
            Frame { offset: start.and_then(|start| vaddr.checked_sub(start)), ..frame(function, name) }
        }
        None => {
            let symbol = symbol?;
            Frame { offset: vaddr.checked_sub(symbol.address), ..frame(function, &symbol.name) }
        }
    };
    frames.push(own);
    Some(frames)
}

fn frame_of(symbol: &Symbol, vaddr: u64) -> Frame {
    let offset = vaddr.checked_sub(symbol.address);
    Frame { symbol: Some(readable(&symbol.name)), offset, ..Frame::default() }
}

fn go_frames(place: Place, vaddr: u64) -> Vec<Frame> {
    let outermost = place.functions.len().saturating_sub(1);
    let frame = |(depth, function): (usize, Named)| Frame {
        symbol: Some(function.name),
        file: function.file,
        line: function.line,
        inlined: depth < outermost,
        offset: (depth == outermost).then_some(vaddr.saturating_sub(place.entry)),
        ..Frame::default()
    };
    place.functions.into_iter().enumerate().map(frame).collect()
}

fn unknown(vaddr: u64) -> Frame {
    Frame { offset: Some(vaddr), ..Frame::default() }
}

/// A frame of a file, as it is at a place in one process. `lookup` is the offset at which the frame was found.
pub(crate) fn finish(frame: &Frame, place: &Location, lookup: u64, module: &Module) -> Frame {
    Frame {
        address: place.address,
        offset: frame.offset.map(|offset| offset.saturating_add(place.offset.saturating_sub(lookup))),
        module: Some(module.path.clone()),
        ..frame.clone()
    }
}

/// A frame of which only the place is known.
pub(crate) fn nameless(place: &Location, module: Option<&Module>) -> Frame {
    Frame {
        address: place.address,
        offset: module.map(|_| place.offset),
        module: module.map(|module| module.path.clone()),
        ..Frame::default()
    }
}

/// A frame in generated code: its name, if any, is in the place.
pub(crate) fn generated(place: &Location, module: &Module) -> Frame {
    let name = place.name.as_deref().map(perf_map::take_apart);
    let (symbol, file, line) = name.map_or((None, None, None), |name| (Some(name.symbol), name.file, name.line));
    Frame {
        address: place.address,
        symbol,
        file,
        line,
        module: Some(module.path.clone()).filter(|path| !path.is_empty()),
        ..Frame::default()
    }
}

#[cfg(test)]
mod tests;
