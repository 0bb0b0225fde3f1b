//! What stands in the object as built for what only the running kernel can tell, and where user space puts the values.
//!
//! Each is the immediate value of one kind of instruction, and so unlikely there by itself that nothing else is taken for it.

/// Number of a helper that does not exist: a call of it stands for one of `bpf_rdonly_cast`.
pub const RDONLY_CAST_CALL: i32 = 0x6c74_0001;

/// `r0 = cmpxchg_64(r1 + 0, r0, r2)` (`BPF_STX | BPF_ATOMIC | BPF_DW`, with `BPF_CMPXCHG`; 5.12), which stands for itself, or for a
/// load where the kernel has no such instruction.
pub const EXCHANGE: [u8; 8] = [0xdb, 0x21, 0, 0, 0xf1, 0, 0, 0];

/// The first of [`crate::Offsets`]: `r = placeholder`, counted in words of four bytes from here.
pub const OFFSETS: i32 = 0x6c74_1000;

/// The first of [`crate::Setup`]: `r = placeholder`, counted in words of four bytes from here.
pub const SETUP: i32 = 0x6c74_2000;

/// The first of [`crate::SetupWide`]: `r = placeholder ll`, counted in words of eight bytes from here.
pub const SETUP_WIDE: i32 = 0x6c74_3000;

/// Of the field that begins so many bytes into [`crate::Offsets`].
pub const fn of_offset(bytes: usize) -> i32 {
    OFFSETS + (bytes / 4) as i32
}

/// Of the field that begins so many bytes into [`crate::Setup`].
pub const fn of_setup(bytes: usize) -> i32 {
    SETUP + (bytes / 4) as i32
}

/// Of the field that begins so many bytes into [`crate::SetupWide`].
pub const fn of_setup_wide(bytes: usize) -> i32 {
    SETUP_WIDE + (bytes / 8) as i32
}
