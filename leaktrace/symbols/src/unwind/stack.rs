//! The copy of a user stack that a walk reads. Must not read the process: its stack has changed since the copy.

use leaktrace_model::WalkEnd;

/// Bytes of a stack, and their address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack<'a> {
    start: u64,
    bytes: &'a [u8],
}

impl<'a> Stack<'a> {
    /// The stack from address `start` upwards.
    pub(crate) fn new(start: u64, bytes: &'a [u8]) -> Self {
        Self { start, bytes }
    }

    /// The eight bytes at an address.
    pub(super) fn word(&self, address: u64) -> Result<u64, WalkEnd> {
        let at = address.checked_sub(self.start).ok_or(WalkEnd::OffStack)?;
        let at = usize::try_from(at).map_err(|_| WalkEnd::OffStack)?;
        // Up to 1 MiB above the copy, the address is probably still on the stack. Beyond that it is not a stack address.
        let missing =
            if at <= self.bytes.len().saturating_add(1 << 20) { WalkEnd::CopyTooShort } else { WalkEnd::OffStack };
        let word = self.bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(missing)?;
        Ok(u64::from_le_bytes(*word))
    }
}
