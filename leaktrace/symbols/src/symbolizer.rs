//! Names locations: function, file, line, and inlined functions.
//!
//! blazesym reads ELF symbols and DWARF. This file decides which file blazesym reads, caches the names, and bounds memory: the
//! tables of a file are dropped when they are large or were not used for a while; the names from them stay. Must not guess: an
//! uncertain location stays module and offset.

mod cost;

use super::blaze::{Blaze, Within, give_pages_back};
use super::c_library::is_libc;
use super::cache::FrameCache;
use super::demangle::readable;
use super::gopclntab::{Named, Place};
use super::image::{Image, Images};
use super::perf_map;
use blazesym::symbolize::{CodeInfo, Sym};
use leaktrace_model::{Content, Frame, Location, Module, ModuleId, ModuleKind, Modules, Resolve, Role};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Default of `--symbol-cache`, in bytes.
pub const DEFAULT_CACHE_BYTES: usize = 32 << 20;

/// Bytes read of mapped files (an estimate) after which their pages are given back.
const MOST_READ: u64 = 32 << 20;

/// Names locations. Not `Send`, because blazesym's tables are not: create it on the thread that uses it.
pub struct Symbolizer {
    modules: Modules,
    images: Images,
    frames: FrameCache,
    /// The first module with each content. It stands for all modules with this content.
    by_content: HashMap<Content, ModuleId>,
    representatives: HashMap<ModuleId, Option<(ModuleId, Arc<Module>)>>,
    blaze: Blaze,
    /// Files that blazesym has read, with their estimated size in memory and their last use.
    parsed: HashMap<PathBuf, Parsed>,
    clock: u64,
    /// The value of `clock` at the last call of [`Self::forget_unused`].
    mark: u64,
    /// Bytes read of mapped files (an estimate) since their pages were given back.
    read: u64,
    limit: usize,
}

struct Parsed {
    /// Keeps the descriptor open: blazesym's key is the path through it, which must not come to mean another file.
    _image: Arc<Image>,
    permitted: Within,
    fixed: u64,
    /// Most memory that all lookups together can take, in bytes.
    most: u64,
    lookups: u64,
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
            blaze: Blaze::new(),
            parsed: HashMap::new(),
            clock: 0,
            mark: 0,
            read: 0,
            limit,
        }
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

    /// Gives back the pages of files that were read. Call it after a round of naming; costs nothing if no file was read.
    pub fn settle(&mut self) {
        if std::mem::take(&mut self.read) > 0 {
            give_pages_back();
        }
    }

    /// Drops the tables and pages of files that were not used since the last call. Returns whether there were any.
    pub fn forget_unused(&mut self) -> bool {
        let mark = std::mem::replace(&mut self.mark, self.clock);
        let unused: Vec<PathBuf> =
            self.parsed.iter().filter(|(_, parsed)| parsed.used <= mark).map(|(path, _)| path.clone()).collect();
        for path in &unused {
            self.forget(path);
        }
        self.images.forget_unused_pages() || !unused.is_empty()
    }

    /// Names one location.
    pub(crate) fn resolve_one(&mut self, place: &Location, role: Role) -> Vec<Frame> {
        let Some(id) = place.module else { return vec![nameless(place, None)] };
        let Some(module) = self.modules.get(id) else { return vec![nameless(place, None)] };
        if matches!(module.kind, ModuleKind::Jit | ModuleKind::Anonymous) {
            return vec![generated(place, &module)];
        }
        let Some((key, module_of_content)) = self.representative(id, &module) else {
            return vec![nameless(place, Some(&module))];
        };
        let lookup = role.lookup(place.offset);
        let frames = match self.frames.get((key, lookup)) {
            Some(frames) => frames,
            None => {
                let Some(frames) = self.look_up(&module_of_content, lookup) else {
                    // Not cached: the file may be there again later.
                    return vec![nameless(place, Some(&module))];
                };
                let frames: Arc<[Frame]> = frames.into();
                self.frames.insert((key, lookup), Arc::clone(&frames));
                frames
            }
        };
        let finish = |frame: &Frame| Frame {
            address: place.address,
            offset: frame.offset.map(|offset| offset.saturating_add(place.offset - lookup)),
            module: Some(module.path.clone()),
            ..frame.clone()
        };
        frames.iter().map(finish).collect()
    }

    /// Memory in use, in bytes. Names are counted; the size of blazesym's tables is an estimate.
    pub fn bytes(&self) -> usize {
        self.frames.bytes() + self.parsed.values().map(Parsed::bytes).fold(0, usize::saturating_add)
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

    /// The frames that blazesym finds at an address of a file.
    fn ask(&mut self, image: &Arc<Image>, vaddr: u64, within: Within) -> Option<Vec<Frame>> {
        let path = image.path()?;
        let parsed = match self.parsed.entry(path.clone()) {
            Entry::Occupied(parsed) => parsed.into_mut(),
            Entry::Vacant(place) => {
                let parsed = Parsed::new(image, cost::permitted(image, self.limit)?);
                self.read = self.read.saturating_add(parsed.most);
                place.insert(parsed)
            }
        };
        self.clock += 1;
        parsed.used = self.clock;
        parsed.lookups += 1;
        self.read = self.read.saturating_add(LOOKUP_BYTES);
        let within = if parsed.permitted == Within::Everything { within } else { Within::Symbols };
        let find = |within| self.blaze.find(&path, vaddr, within).filter(|sym| is_certain(sym, image, vaddr));
        let first = if within == Within::Everything { find(within) } else { None };
        let Some(sym) = first else { return find(Within::Symbols).map(|sym| frames_of(&sym)) };
        let mut frames = frames_of(&sym);
        if is_in_pieces(&sym) {
            // The function's start is in the symbol table, unless the piece has its own symbol.
            let whole = find(Within::Symbols).filter(|whole| whole.name == sym.name);
            let offset = whole.and_then(|whole| u64::try_from(whole.offset).ok());
            frames.last_mut().into_iter().for_each(|frame| frame.offset = offset);
        }
        Some(frames)
    }

    /// Drops the tables of the least recently used files until the rest fits.
    fn shrink(&mut self) {
        let room = self.limit - self.limit / 4;
        let mut bytes = self.parsed.values().map(Parsed::bytes).fold(0, usize::saturating_add);
        while bytes > room && !self.parsed.is_empty() {
            let oldest = self.parsed.iter().min_by_key(|(_, parsed)| parsed.used).map(|(path, _)| path.clone());
            let Some(path) = oldest else { return };
            bytes = bytes.saturating_sub(self.forget(&path));
        }
    }

    /// Drops the tables of a file. Returns their estimated size.
    fn forget(&mut self, path: &Path) -> usize {
        // `before` keeps the descriptor open until blazesym has dropped the tables under its path.
        let before = self.parsed.remove(path);
        if !self.blaze.forget(path) {
            self.parsed.clear();
        }
        before.map_or(0, |parsed| parsed.bytes())
    }
}

impl Resolve for Symbolizer {
    fn resolve(&mut self, stack: &[Location]) -> Vec<Vec<Frame>> {
        Self::resolve(self, stack)
    }
}

/// Average memory that a lookup in a compilation unit not read before takes, in bytes.
const LOOKUP_BYTES: u64 = 64 << 10;

impl Parsed {
    fn new(image: &Arc<Image>, permitted: Within) -> Self {
        let most = if permitted == Within::Everything { cost::read(image) } else { 0 };
        let fixed = cost::fixed(image, permitted);
        Self { _image: Arc::clone(image), permitted, fixed, most, lookups: 0, used: 0 }
    }

    fn bytes(&self) -> usize {
        let read = self.lookups.saturating_mul(LOOKUP_BYTES).min(self.most);
        usize::try_from(self.fixed.saturating_add(read)).unwrap_or(usize::MAX)
    }
}

/// Whether a symbol certainly contains an address. One without a size extends to the next symbol, but not into another section,
/// for example from `_init` into the jump table (PLT) after it.
fn is_certain(sym: &Sym<'_>, image: &Image, vaddr: u64) -> bool {
    let section = |address| image.elf.section_at(address).map(|section| section.addr);
    let known = sym.size.is_some_and(|size| size > 0) || is_in_pieces(sym) || section(sym.addr) == section(vaddr);
    !sym.name.is_empty() && known
}

/// Whether a function has several pieces, for example a cold one: blazesym then gives no start and no size. A line or an
/// inlined function shows that the symbol is from debug information.
fn is_in_pieces(sym: &Sym<'_>) -> bool {
    sym.addr == 0 && sym.size.is_none() && (sym.code_info.is_some() || !sym.inlined.is_empty())
}

fn frames_of(sym: &Sym<'_>) -> Vec<Frame> {
    let frame = |symbol: &str, code: Option<&CodeInfo<'_>>| Frame {
        symbol: Some(readable(symbol)),
        file: code.map(|code| path_text(&code.to_path())).filter(|file| !file.is_empty()),
        line: code.and_then(|code| code.line).filter(|line| *line > 0),
        ..Frame::default()
    };
    let merged = sym.inlined.iter().rev().filter(|inlined| !inlined.name.is_empty());
    let merged = merged.map(|inlined| Frame { inlined: true, ..frame(&inlined.name, inlined.code_info.as_ref()) });
    let own = Frame { offset: u64::try_from(sym.offset).ok(), ..frame(&sym.name, sym.code_info.as_deref()) };
    merged.chain([own]).collect()
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

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn unknown(vaddr: u64) -> Frame {
    Frame { offset: Some(vaddr), ..Frame::default() }
}

fn nameless(place: &Location, module: Option<&Module>) -> Frame {
    Frame {
        address: place.address,
        offset: module.map(|_| place.offset),
        module: module.map(|module| module.path.clone()),
        ..Frame::default()
    }
}

fn generated(place: &Location, module: &Module) -> Frame {
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
