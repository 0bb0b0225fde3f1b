//! The copy of a user stack that a walk reads.

use super::Why;

/// Bytes of a stack, and where they were.
#[derive(Clone, Copy, Debug)]
pub struct Stack<'a> {
    start: u64,
    bytes: &'a [u8],
}

impl<'a> Stack<'a> {
    /// The stack from address `start` upwards.
    pub fn new(start: u64, bytes: &'a [u8]) -> Self {
        Self { start, bytes }
    }

    /// Eight bytes at an address.
    pub(super) fn word(&self, address: u64) -> Result<u64, Why> {
        let at = address.checked_sub(self.start).ok_or(Why::OffStack)?;
        let at = usize::try_from(at).map_err(|_| Why::OffStack)?;
        // Where the copy ends the stack goes on; far behind that it is not a stack address at all.
        let missing = if at <= self.bytes.len().saturating_add(1 << 20) { Why::CopyTooShort } else { Why::OffStack };
        let word = self.bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(missing)?;
        Ok(u64::from_le_bytes(*word))
    }
}
