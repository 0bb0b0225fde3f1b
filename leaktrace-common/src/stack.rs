//! User stacks as the hooks capture them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Most frames kept of a stack.
pub const MAX_FRAMES: usize = 126;

/// Most bytes copied of a user stack. 16 KiB are enough for most programs, but every stack of libuv (Node) contains the 12 KiB of
/// events that `uv__io_poll` waits for.
pub const STACK_COPY_BYTES: usize = 24576;

/// How a walk along the frame pointers ended, in [`StackEntry::ended`].
pub mod capture {
    /// At a null frame pointer or return address, as at a thread's start.
    pub const AT_START: u32 = 1;
    /// At a frame pointer that cannot be read, is misaligned, or points downwards.
    pub const BROKEN: u32 = 2;
    /// After [`super::MAX_FRAMES`] frames.
    pub const TOO_DEEP: u32 = 3;
    /// Before it began: a kernel thread such as an io_uring worker has no user stack.
    pub const NO_USER: u32 = 4;
}

/// One stack: its instruction pointers, leaf first.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct StackEntry {
    /// How many of `frames` are used.
    pub len: u32,
    /// How the walk ended: [`capture`].
    pub ended: u32,
    /// The word at the user stack pointer if it points behind a call instruction, else 0. It is the return address of a leaf
    /// function that has no frame; user space decides whether the leaf has one.
    pub leaf_return: u64,
    /// User addresses. The first is where the thread entered the kernel, the others are return addresses.
    pub frames: [u64; MAX_FRAMES],
}

const _: () = assert!(size_of::<StackEntry>() == 1024);

/// Registers and a copy of the user stack at the first open of a call site, for unwinding with tables in user space. Sent on a ring
/// buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct StackCapture {
    /// [`crate::MessageKind::StackCapture`], raw.
    pub kind: u32,
    /// Index of the call site it belongs to.
    pub callsite: u32,
    /// Process.
    pub tgid: u32,
    /// How many of `bytes` are valid.
    pub len: u32,
    /// Instruction pointer.
    pub ip: u64,
    /// Stack pointer: address of the first byte of `bytes`.
    pub sp: u64,
    /// Frame-pointer register, whatever it holds.
    pub bp: u64,
    /// Link register on machines that have one, else 0.
    pub lr: u64,
    /// The stack from `sp` upwards.
    pub bytes: [u8; STACK_COPY_BYTES],
}

const _: () = assert!(size_of::<StackCapture>() == 48 + STACK_COPY_BYTES);

/// How many stack copies of one process were made recently.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout)]
pub struct CopyRate {
    /// When counting began, `CLOCK_BOOTTIME`.
    pub since_ns: u64,
    /// Copies since then.
    pub copies: u64,
}

const _: () = assert!(size_of::<CopyRate>() == 16);
