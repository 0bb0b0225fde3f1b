//! Machine code of a running process: read from the mapped file, or from the process's memory for generated code.

use super::process::{Locator, ProcessMaps};
use super::unwind::{LONGEST_CALL, LOOK_AHEAD, is_after_call, starts_thread};
use leaktrace_model::Role;

/// Length of a program's entry code (`_start`), in bytes. It calls only the C library's start function.
const ENTRY_BYTES: u64 = 64;

impl Locator {
    /// Up to `len` bytes of code from an address on; fewer if the mapping ends earlier. `None` when it cannot be read.
    pub(crate) fn code(&mut self, maps: &mut ProcessMaps, address: u64, len: usize) -> Option<Vec<u8>> {
        let (_, mapping) = maps.mappings().at(address)?;
        let len = (mapping.end - address).min(len as u64);
        match self.image_at(maps, address) {
            Some((image, offset)) => {
                let len = len.min(image.bytes.len().checked_sub(offset)?);
                image.bytes.copy(offset, len, len)
            }
            None => maps.memory(address, len),
        }
    }

    /// Whether a call instruction ends at an address. `None` when the code before it cannot be read.
    pub(crate) fn is_behind_call(&mut self, maps: &mut ProcessMaps, address: u64) -> Option<bool> {
        Some(is_after_call(&self.code_before(maps, address)?))
    }

    /// Whether this return address is in the first function of a thread. A walk that ends there is complete.
    pub(crate) fn starts_thread(&mut self, maps: &mut ProcessMaps, address: u64) -> bool {
        let lookup = Role::Return.lookup(address);
        if let Some((image, offset)) = self.image_at(maps, lookup)
            && let Some(vaddr) = image.elf.vaddr_of(offset)
            && vaddr.checked_sub(image.elf.entry).is_some_and(|at| at < ENTRY_BYTES)
        {
            return true;
        }
        let Some(before) = self.code_before(maps, address) else { return false };
        let Some(behind) = self.code(maps, address, LOOK_AHEAD) else { return false };
        starts_thread(&before, &behind) || self.is_go_root(maps, address)
    }

    fn code_before(&mut self, maps: &mut ProcessMaps, address: u64) -> Option<Vec<u8>> {
        let (_, mapping) = maps.mappings().at(Role::Return.lookup(address))?;
        let from = address.saturating_sub(LONGEST_CALL as u64).max(mapping.start);
        let len = usize::try_from(address - from).ok()?;
        self.code(maps, from, len)
    }
}
