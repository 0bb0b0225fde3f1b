//! The copy of a user stack that a walk reads.

use leaktrace_model::WalkEnd;

/// Bytes of a stack, and where they were.
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

    /// Eight bytes at an address.
    pub(super) fn word(&self, address: u64) -> Result<u64, WalkEnd> {
        let at = address.checked_sub(self.start).ok_or(WalkEnd::OffStack)?;
        let at = usize::try_from(at).map_err(|_| WalkEnd::OffStack)?;
        // Where the copy ends the stack goes on; far behind that it is not a stack address at all.
        let missing =
            if at <= self.bytes.len().saturating_add(1 << 20) { WalkEnd::CopyTooShort } else { WalkEnd::OffStack };
        let word = self.bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(missing)?;
        Ok(u64::from_le_bytes(*word))
    }
}
