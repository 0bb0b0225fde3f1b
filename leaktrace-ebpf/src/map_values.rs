//! Types that only the kernel side keeps in maps. They have no methods here: those are where the values are used, so that
//! [`maps`](crate::maps) needs no other file.

use crate::window::Window;
use leaktrace_common::StackEntry;

/// Where one program on one processor builds the stack of the current open.
#[repr(C)]
pub struct Scratch {
    /// Result of the walk.
    pub stack: StackEntry,
    /// The piece of the stack that the walk reads now.
    pub window: Window,
    /// Where user registers are.
    pub registers: RegistersPlace,
    /// Call sites found recently, see [`crate::callsites`].
    pub recent: Recent,
    /// Leaves checked recently, see [`crate::stack`].
    pub leaves: [Leaf; LEAVES],
}

/// Places for [`Leaf`]s, a power of two. A program opens its sockets through one or two leaves.
pub const LEAVES: usize = 64;

/// What was found out about a word at the stack pointer of a process. Reading this costs as much as reading the stack, and it hardly
/// ever changes. If a process maps other code to the same address, it may get the leaf of the old code.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Leaf {
    /// The word at the stack pointer.
    pub word: u64,
    /// The process.
    pub tgid: u32,
    /// 1 if the word points behind a call instruction.
    pub is_return: u32,
    /// Start of the executable's code.
    pub code_start: u64,
    /// Length of the executable's code.
    pub code_bytes: u64,
}

/// Where the user registers of a task are: at the same distance from the kernel stack for every task. A helper gives the address for
/// one task, and a call of it costs more than all loads of the registers.
#[repr(C)]
pub struct RegistersPlace {
    /// The distance; 0 until the helper was called.
    pub from_stack: u64,
    /// A value written here and read back is a number to the verifier, which otherwise takes it for a pointer (7.2).
    pub number: u64,
}

/// Places in [`Recent`], a power of two.
pub const RECENT: usize = 64;

/// Indexes of call sites that one program on one processor found recently. The key gives the place. Whether the call site there is the
/// one looked for is decided by its own key, without a lookup in the hash table.
#[repr(C)]
pub struct Recent(pub [u32; RECENT]);

/// How fast one process opens sockets, counted in spans of a second that begin with an open.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OpenRate {
    /// Start of the span, `CLOCK_BOOTTIME`.
    pub since_ns: u64,
    /// Opens in the span.
    pub opened: u64,
    /// Opens in the span before; 0 if the process then opened nothing for a second or more.
    pub before: u64,
}

/// Sockets in a [`Batch`], a power of two.
pub const BATCH_SOCKETS: usize = 8;

/// Sockets that a pass over records reads together, see [`crate::passes`].
#[repr(C)]
pub struct Batch {
    /// How many there are. Kept in the map because the verifier would follow each known length separately.
    pub len: u64,
    /// Their addresses.
    pub sockets: [u64; BATCH_SOCKETS],
}

/// The kernel's buffer for what an iterator writes in one read (`bpf_seq_read`, kernel/bpf/bpf_iter.c).
pub const READ_BYTES: usize = 32 << 10;
