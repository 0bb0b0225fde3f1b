//! Why a stack is not complete.

use crate::format_count;
use serde::{Deserialize, Serialize, Serializer};
use std::{fmt, num::NonZeroU32};

/// Why a stack is not complete. [`fmt::Display`] gives the text of reports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StackReason {
    /// A kernel thread opened the socket.
    KernelThread,
    /// The user stack could not be read.
    Unreadable,
    /// The process had exited before its mappings could be read.
    Exited,
    /// The process or its files could not be read in time.
    NotPlaced,
    /// The code keeps no frame pointers, and there is no copy of its stack.
    NoCopy,
    /// The code keeps no frame pointers, and unwind tables are switched off.
    NoFramePointers,
    /// The stack was left out on purpose, as `--stack-sample` asks.
    NotSampled {
        /// One stack in this many is captured.
        one_in: NonZeroU32,
    },
    /// The walk ended before the start of the thread.
    Walk(WalkEnd),
    /// Text from a recording.
    Recorded {
        /// The recorded text.
        text: String,
        /// Whether the stack was left out on purpose.
        not_sampled: bool,
    },
}

impl StackReason {
    /// Whether the stack was left out on purpose.
    pub fn is_not_sampled(&self) -> bool {
        matches!(self, Self::NotSampled { .. } | Self::Recorded { not_sampled: true, .. })
    }
}

impl fmt::Display for StackReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KernelThread => {
                "the socket was opened by a kernel thread, such as an io_uring worker, which has no user stack"
            }
            Self::Unreadable => "the user stack could not be read",
            Self::Exited => "the process had exited before its mappings could be read",
            Self::NotPlaced => "the process or its files could not be read in the time for it",
            Self::NoCopy => "this code keeps no frame pointers, and no copy of its stack could be taken",
            Self::NoFramePointers => "this code keeps no frame pointers: callers may be missing",
            Self::NotSampled { one_in } => {
                return write!(f, "not sampled (1 in {})", format_count(u64::from(one_in.get())));
            }
            Self::Walk(end) => return end.fmt(f),
            Self::Recorded { text, .. } => text,
        })
    }
}

impl Serialize for StackReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a walk ended before the start of the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WalkEnd {
    /// The stack is longer than what was copied.
    CopyTooShort,
    /// A frame would lie outside the stack.
    OffStack,
    /// A rule needs a register whose value is not known.
    UnknownRegister,
    /// A table is damaged.
    BadTable,
    /// An address is not in executable memory.
    Unmapped,
    /// An address is not behind a call.
    NotBehindCall,
    /// The chain of frame pointers broke.
    ChainBroken,
    /// The leaf has a frame that keeps no frame pointer, so its caller is missing.
    LeafCaller,
    /// No table covers the code, and it keeps no frame pointer.
    NoTable,
    /// The function runs on a stack of its own, as Go's runtime and C code called from Go do.
    OtherStack,
    /// The stack would not shrink.
    NotAdvancing,
    /// There are more frames than are kept.
    TooDeep,
    /// The code is not x86-64.
    OtherMachine,
}

impl fmt::Display for WalkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CopyTooShort => "the stack is longer than what was copied of it",
            Self::OffStack => "a frame lies outside the stack",
            Self::UnknownRegister => "the unwind table needs a register that was not captured",
            Self::BadTable => "an unwind table is damaged",
            Self::Unmapped => "a return address is not in executable memory",
            Self::NotBehindCall => "a return address is not behind a call",
            Self::ChainBroken => "the chain of frame pointers broke before the start of the thread",
            Self::LeafCaller => "the function that called the C library is missing: its frame pointer was not kept",
            Self::NoTable => "code without unwind tables and without frame pointers",
            Self::OtherStack => "the caller is on another stack",
            Self::NotAdvancing => "the unwind table leads nowhere",
            Self::TooDeep => "the stack has more frames than are kept",
            Self::OtherMachine => "unwinding by table knows x86-64 only",
        })
    }
}
