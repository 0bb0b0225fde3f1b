//! Messages that hooks send to user space on a ring buffer. The first word of each is its kind.

use crate::{LeftRow, StackCapture};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Kinds of messages. The discriminant is the first word of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MessageKind {
    /// [`StackCapture`]
    StackCapture = 1,
    /// [`TreeExec`]
    TreeExec = 2,
    /// [`BusyCallsite`]
    BusyCallsite = 3,
    /// [`LeftRow`]
    LeftRow = 4,
}

impl MessageKind {
    /// All kinds, with the length of their messages.
    const LENGTHS: [(Self, usize); 4] = [
        (Self::StackCapture, size_of::<StackCapture>()),
        (Self::TreeExec, size_of::<TreeExec>()),
        (Self::BusyCallsite, size_of::<BusyCallsite>()),
        (Self::LeftRow, size_of::<LeftRow>()),
    ];

    /// The first word of such a message.
    #[inline(always)]
    pub const fn raw(self) -> u32 {
        self as u32
    }

    /// The kind of a message, if its first word is a known kind and its length is the length of that kind. Any bytes may be given.
    pub fn of(message: &[u8]) -> Option<Self> {
        let first = message.first_chunk().map(|word| u32::from_ne_bytes(*word))?;
        let (kind, length) = Self::LENGTHS.into_iter().find(|(kind, _)| kind.raw() == first)?;
        (message.len() == length).then_some(kind)
    }
}

/// A process of the followed tree has started another program. Sent on the ring buffer of the stack copies, so that user space sees
/// both in the order in which they happened.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct TreeExec {
    /// [`MessageKind::TreeExec`], raw.
    pub kind: u32,
    /// Process.
    pub tgid: u32,
}

const _: () = assert!(size_of::<TreeExec>() == 8);

/// A call site without counters on each processor has opened many sockets. Sent on the ring buffer of the stack copies.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct BusyCallsite {
    /// [`MessageKind::BusyCallsite`], raw.
    pub kind: u32,
    /// Its index.
    pub callsite: u32,
}

const _: () = assert!(size_of::<BusyCallsite>() == 8);

// Each message starts with its kind.
const _: () = assert!(core::mem::offset_of!(StackCapture, kind) == 0);
const _: () = assert!(core::mem::offset_of!(TreeExec, kind) == 0);
const _: () = assert!(core::mem::offset_of!(BusyCallsite, kind) == 0);
const _: () = assert!(core::mem::offset_of!(LeftRow, kind) == 0);

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::{vec, vec::Vec};

    fn message(kind: u32, length: usize) -> Vec<u8> {
        let mut bytes = vec![0xFF; length];
        let first = length.min(4);
        bytes[..first].copy_from_slice(&kind.to_ne_bytes()[..first]);
        bytes
    }

    #[test]
    fn the_first_word_tells_the_kind_even_where_lengths_are_equal() {
        for (kind, length) in MessageKind::LENGTHS {
            assert_eq!(MessageKind::of(&message(kind.raw(), length)), Some(kind));
        }
        assert_eq!(size_of::<TreeExec>(), size_of::<BusyCallsite>());
    }

    #[test]
    fn a_message_of_another_length_than_its_kind_has_is_refused() {
        for (kind, length) in MessageKind::LENGTHS {
            for wrong in [0, 1, 3, 4, length - 1, length + 1] {
                assert_eq!(MessageKind::of(&message(kind.raw(), wrong)), None, "{kind:?}, {wrong} bytes");
            }
        }
    }

    #[test]
    fn a_number_that_is_no_kind_is_refused_whatever_the_length() {
        for number in [0, 5, u32::MAX] {
            for (_, length) in MessageKind::LENGTHS {
                assert_eq!(MessageKind::of(&message(number, length)), None);
            }
        }
    }

    #[test]
    fn messages_need_no_alignment() {
        let bytes = [&[0][..], &message(MessageKind::TreeExec.raw(), 8)].concat();
        assert_eq!(MessageKind::of(&bytes[1..]), Some(MessageKind::TreeExec));
    }
}
