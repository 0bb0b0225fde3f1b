//! Walks a copied user stack by the unwind tables of the mapped files, for code without frame pointers.
//!
//! Must not guess: each step needs an entry in a table or, for code without tables (Go, generated code), a frame pointer that
//! points up the stack, or a readable end of the function. Each return address must be in executable memory, after a call.
//! gimli reads the tables. framehop does not fit: without an entry, or for a register that it does not track, it silently
//! continues by frame pointer, which can give a wrong frame.

mod code;
mod frame;
mod stack;
mod table;

pub(crate) use code::is_after_call;
pub(super) use code::{LONGEST_CALL, LOOK_AHEAD, starts_thread};
pub(crate) use stack::Stack;
pub(super) use table::Table;

use super::image::Image;
use super::process::{Locator, ProcessMaps};
use code::{Epilogue, frame_from_epilogue};
use frame::Registers;
use gimli::{CfaRule, UnwindContext, X86_64};
use leaktrace_model::{Content, MAX_FRAMES, Role, StackCopy, WalkEnd};
use object::elf;
use std::collections::HashMap;
use std::sync::Arc;

/// Most memory for unwind tables, in bytes. A single larger table is still used.
pub(crate) const DEFAULT_TABLE_BYTES: usize = 16 << 20;

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ended {
    /// It reached the start of the thread: the stack is complete.
    AtStart,
    /// It stopped earlier.
    Truncated(WalkEnd),
}

/// What kind of frame a leaf function has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeafFrame {
    /// No frame: the return address is at the stack pointer, and `rbp` is the caller's.
    None,
    /// A frame with a frame pointer.
    WithPointer,
    /// A frame without one: the return address is somewhere above the stack pointer, and `rbp` is the caller's.
    WithoutPointer,
}

/// The result of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Leaf first: the instruction pointer, then return addresses.
    pub addresses: Vec<u64>,
    /// How it ended.
    pub ended: Ended,
}

/// Walks stacks, and caches the unwind tables that it reads.
#[derive(Debug)]
pub(crate) struct Unwinder {
    tables: HashMap<Content, Kept>,
    clock: u64,
    /// The value of `clock` at the last call of [`Self::forget_unused`].
    mark: u64,
    limit: usize,
    context: UnwindContext<usize>,
}

#[derive(Debug)]
struct Kept {
    table: Option<Arc<Table>>,
    used: u64,
}

impl Default for Unwinder {
    fn default() -> Self {
        Self::new(DEFAULT_TABLE_BYTES)
    }
}

impl Unwinder {
    /// An unwinder that caches about `limit` bytes of tables.
    pub(crate) fn new(limit: usize) -> Self {
        Self { tables: HashMap::new(), clock: 0, mark: 0, limit, context: UnwindContext::new() }
    }

    /// Walks the stack that a hook copied.
    pub(crate) fn walk_copy(&mut self, locator: &mut Locator, maps: &mut ProcessMaps, copy: &StackCopy<'_>) -> Walk {
        let stack = Stack::new(copy.sp, copy.bytes);
        self.walk(locator, maps, [copy.ip, copy.sp, copy.bp], stack)
    }

    /// Walks a stack from the leaf's instruction pointer, stack pointer and frame-pointer register.
    pub(crate) fn walk(
        &mut self,
        locator: &mut Locator,
        maps: &mut ProcessMaps,
        leaf: [u64; 3],
        stack: Stack<'_>,
    ) -> Walk {
        let [ip, sp, bp] = leaf;
        let mut registers = Registers::new(ip, sp, bp);
        let mut addresses = vec![ip];
        let mut role = Role::Leaf;
        let ended = loop {
            if addresses.len() >= MAX_FRAMES {
                break Ended::Truncated(WalkEnd::TooDeep);
            }
            let step = match self.step(locator, maps, &registers, role, &stack) {
                Ok(Some(step)) => step,
                Ok(None) => break Ended::AtStart,
                Err(why) => break Ended::Truncated(why),
            };
            if step.registers.sp() <= registers.sp() {
                break Ended::Truncated(WalkEnd::NotAdvancing);
            }
            // A signal interrupts any instruction, so this address need not follow a call.
            role = if step.is_signal { Role::Leaf } else { Role::Return };
            let next = step.registers.ip();
            let checked = match role {
                Role::Leaf if maps.mappings().at(next).is_none() => Err(WalkEnd::Unmapped),
                Role::Leaf => Ok(()),
                Role::Return => self.check_return(locator, maps, next),
            };
            if let Err(why) = checked {
                break Ended::Truncated(why);
            }
            addresses.push(step.registers.ip());
            registers = step.registers;
        };
        Walk { addresses, ended }
    }

    /// Memory that tables take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.tables.values().filter_map(|kept| kept.table.as_ref()).map(|table| table.bytes()).sum()
    }

    /// Drops the tables that were not used since the last call. Returns whether there were any.
    pub(crate) fn forget_unused(&mut self) -> bool {
        let (mark, count) = (std::mem::replace(&mut self.mark, self.clock), self.tables.len());
        self.tables.retain(|_, kept| kept.used > mark);
        self.tables.len() < count
    }

    fn step(
        &mut self,
        locator: &mut Locator,
        maps: &mut ProcessMaps,
        registers: &Registers,
        role: Role,
        stack: &Stack<'_>,
    ) -> Result<Option<Step>, WalkEnd> {
        let lookup = role.lookup(registers.ip());
        let image = locator.image_at(maps, lookup);
        if image.as_ref().is_some_and(|(image, _)| image.elf.machine != elf::EM_X86_64) {
            return Err(WalkEnd::OtherMachine);
        }
        if let Some((image, offset)) = &image
            && let Some(table) = self.table(image)
            && let Some(vaddr) = image.elf.vaddr_of(*offset)
            && let Some(entry) = table.entry(vaddr, &mut self.context)
        {
            let is_signal = entry.is_signal;
            return Ok(registers.caller(&entry, stack)?.map(|registers| Step { registers, is_signal }));
        }
        if let Some((image, offset)) = &image
            && let Some(go) = image.go()
            && let Some(vaddr) = image.elf.vaddr_of(*offset)
        {
            if go.is_root(&image.bytes, vaddr) {
                return Ok(None);
            }
            if let Some(size) = go.frame_size(&image.bytes, vaddr) {
                return registers.go_caller(size, stack).map(|registers| Some(Step { registers, is_signal: false }));
            }
            if go.place(&image.bytes, vaddr).is_some() {
                return Err(WalkEnd::OtherStack);
            }
        }
        if role == Role::Return && locator.starts_thread(maps, registers.ip()) {
            return Ok(None);
        }
        without_table(locator, maps, registers, role, stack)
    }

    /// Whether an address can be a return address: in executable memory, and after a call. Two kinds need no call before them:
    /// the code that returns from a signal handler, and the function in which goroutines start.
    ///
    /// # Errors
    /// Why it cannot.
    pub(crate) fn check_return(
        &mut self,
        locator: &mut Locator,
        maps: &mut ProcessMaps,
        address: u64,
    ) -> Result<(), WalkEnd> {
        if maps.mappings().at(Role::Return.lookup(address)).is_none() {
            return Err(WalkEnd::Unmapped);
        }
        if locator.is_behind_call(maps, address) != Some(false) || locator.is_go_root(maps, address) {
            return Ok(());
        }
        let is_signal = locator.image_at(maps, address).and_then(|(image, offset)| {
            let table = self.table(&image)?;
            Some(table.fde(image.elf.vaddr_of(offset)?)?.is_signal_trampoline())
        });
        if is_signal == Some(true) { Ok(()) } else { Err(WalkEnd::NotBehindCall) }
    }

    /// The kind of frame of the function that entered the kernel.
    pub(crate) fn leaf_frame(&mut self, locator: &mut Locator, maps: &mut ProcessMaps, ip: u64) -> LeafFrame {
        let image = locator.image_at(maps, ip);
        if let Some((image, offset)) = &image
            && let Some(vaddr) = image.elf.vaddr_of(*offset)
        {
            if let Some(table) = self.table(image)
                && let Some(entry) = table.entry(vaddr, &mut self.context)
            {
                return match entry.row.cfa() {
                    CfaRule::RegisterAndOffset { register: X86_64::RSP, offset: 8 } => LeafFrame::None,
                    CfaRule::RegisterAndOffset { register: X86_64::RBP, .. } => LeafFrame::WithPointer,
                    _ => LeafFrame::WithoutPointer,
                };
            }
            if let Some(size) = image.go().and_then(|go| go.frame_size(&image.bytes, vaddr)) {
                return if size == 0 { LeafFrame::None } else { LeafFrame::WithPointer };
            }
        }
        match locator.code(maps, ip, LOOK_AHEAD).as_deref().and_then(frame_from_epilogue) {
            Some(Epilogue { return_at: 0, .. }) => LeafFrame::None,
            Some(Epilogue { saved_rbp_at: None, .. }) => LeafFrame::WithoutPointer,
            _ => LeafFrame::WithPointer,
        }
    }

    pub(super) fn table(&mut self, image: &Image) -> Option<Arc<Table>> {
        self.clock += 1;
        let key = image.content();
        if let Some(kept) = self.tables.get_mut(&key) {
            kept.used = self.clock;
            return kept.table.clone();
        }
        image.begin();
        let table = Table::read(image).map(Arc::new);
        let incoming = table.as_ref().map_or(0, |table| table.bytes());
        while self.tables.len() >= 1024 || (self.bytes() + incoming > self.limit && !self.tables.is_empty()) {
            let oldest = self.tables.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.tables.remove(&key));
        }
        self.tables.insert(key, Kept { table: table.clone(), used: self.clock });
        table
    }
}

struct Step {
    registers: Registers,
    is_signal: bool,
}

/// One step through code without a table: by the end of the function if it can be read, else by frame pointer.
fn without_table(
    locator: &mut Locator,
    maps: &mut ProcessMaps,
    registers: &Registers,
    role: Role,
    stack: &Stack<'_>,
) -> Result<Option<Step>, WalkEnd> {
    let (ip, sp) = (registers.ip(), registers.sp());
    let code = locator.code(maps, ip, LOOK_AHEAD);
    let mut caller = registers.clone();
    if let Some(epilogue) = code.as_deref().and_then(frame_from_epilogue) {
        let at = sp.checked_add(epilogue.return_at).ok_or(WalkEnd::OffStack)?;
        if let Some(saved) = epilogue.saved_rbp_at {
            caller.set(X86_64::RBP, Some(stack.word(sp.wrapping_add(saved))?));
        }
        caller.set(X86_64::RA, Some(stack.word(at)?));
        caller.set(X86_64::RSP, at.checked_add(8));
        return Ok(Some(Step { registers: caller, is_signal: false }));
    }
    let bp = registers.get(X86_64::RBP).ok_or(WalkEnd::NoTable)?;
    // A system call stub can have no frame; then its return address is at the stack pointer.
    if role == Role::Leaf
        && let Ok(top) = stack.word(sp)
        && bp >= sp
        && locator.is_behind_call(maps, top) == Some(true)
        && code.as_deref().is_some_and(|code| code.starts_with(&[0xc3]))
    {
        caller.set(X86_64::RA, Some(top));
        caller.set(X86_64::RSP, sp.checked_add(8));
        return Ok(Some(Step { registers: caller, is_signal: false }));
    }
    if bp == 0 {
        // By the ABI, a null frame pointer marks the outermost frame. Goroutines start with one.
        return if locator.is_go_root(maps, ip) { Ok(None) } else { Err(WalkEnd::NoTable) };
    }
    if bp < sp || bp % 8 != 0 {
        return Err(WalkEnd::NoTable);
    }
    let return_at = bp.checked_add(8).ok_or(WalkEnd::OffStack)?;
    let above = stack.word(bp).map_err(|why| if why == WalkEnd::OffStack { WalkEnd::NoTable } else { why })?;
    for register in [X86_64::RBX, X86_64::R12, X86_64::R13, X86_64::R14, X86_64::R15] {
        caller.set(register, None);
    }
    caller.set(X86_64::RA, Some(stack.word(return_at)?));
    caller.set(X86_64::RBP, Some(above));
    caller.set(X86_64::RSP, return_at.checked_add(8));
    Ok(Some(Step { registers: caller, is_signal: false }))
}

#[cfg(test)]
mod tests;
