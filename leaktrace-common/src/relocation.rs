//! Relocations: numbers in the built object that stand for values known only on the running kernel. User space replaces them before
//! it loads the programs.
//!
//! Each number is the immediate value of one kind of instruction, and unusual enough that no other instruction has it.

/// Number of a helper that does not exist. A call to it stands for a call to the kernel function `bpf_rdonly_cast`.
pub const RDONLY_CAST_CALL: i32 = 0x6c74_0001;

/// The instruction `r0 = cmpxchg_64(r1 + 0, r0, r2)` (`BPF_STX | BPF_ATOMIC | BPF_DW` with `BPF_CMPXCHG`, 5.12). User space keeps it,
/// or replaces it by a load on kernels without it.
pub const EXCHANGE: [u8; 8] = [0xdb, 0x21, 0, 0, 0xf1, 0, 0, 0];

/// Number of the first field of [`crate::Offsets`], in `r = number`. Fields are numbered in words of four bytes.
pub const OFFSETS: i32 = 0x6c74_1000;

/// Number of the first field of [`crate::Setup`], in `r = number`. Fields are numbered in words of four bytes.
pub const SETUP: i32 = 0x6c74_2000;

/// Number of the first field of [`crate::SetupWide`], in `r = number ll`. Fields are numbered in words of eight bytes.
pub const SETUP_WIDE: i32 = 0x6c74_3000;

/// Number of the field that starts at byte `bytes` of [`crate::Offsets`].
pub const fn of_offset(bytes: usize) -> i32 {
    OFFSETS + (bytes / 4) as i32
}

/// Number of the field that starts at byte `bytes` of [`crate::Setup`].
pub const fn of_setup(bytes: usize) -> i32 {
    SETUP + (bytes / 4) as i32
}

/// Number of the field that starts at byte `bytes` of [`crate::SetupWide`].
pub const fn of_setup_wide(bytes: usize) -> i32 {
    SETUP_WIDE + (bytes / 8) as i32
}
