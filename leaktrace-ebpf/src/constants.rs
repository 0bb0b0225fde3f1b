//! What user space knows before it loads the programs: [`Offsets`](leaktrace_common::Offsets) and
//! [`Setup`](leaktrace_common::Setup).
//!
//! Each use is an instruction that moves a placeholder into a register, and user space puts the value there
//! ([`leaktrace_common::placeholder`]). As read-only data, which the verifier knows as well, each would be a load of memory that
//! the kernel has not touched since the last connection, and twice the code.

/// A field of [`Offsets`](leaktrace_common::Offsets), as `usize`.
macro_rules! offset {
    ($field:ident) => {
        $crate::constants::moved!(leaktrace_common::placeholder::of_offset(core::mem::offset_of!(
            leaktrace_common::Offsets,
            $field
        ))) as usize
    };
}
pub(crate) use offset;

/// A field of [`Setup`](leaktrace_common::Setup), as `u32`.
macro_rules! setup {
    ($field:ident) => {
        $crate::constants::moved!(leaktrace_common::placeholder::of_setup(core::mem::offset_of!(
            leaktrace_common::Setup,
            $field
        ))) as u32
    };
}
pub(crate) use setup;

/// A field of [`SetupWide`](leaktrace_common::SetupWide), as `u64`.
macro_rules! setup_wide {
    ($field:ident) => {{
        const PLACEHOLDER: i32 = leaktrace_common::placeholder::of_setup_wide(core::mem::offset_of!(
            leaktrace_common::SetupWide,
            $field
        ));
        let value: u64;
        // SAFETY: it moves a number into a register.
        unsafe {
            core::arch::asm!(
                "{value} = {placeholder} ll",
                value = lateout(reg) value,
                placeholder = const PLACEHOLDER,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        value
    }};
}
pub(crate) use setup_wide;

/// The move of a placeholder, as `u64`.
macro_rules! moved {
    ($placeholder:expr) => {{
        const PLACEHOLDER: i32 = $placeholder;
        let value: u64;
        // SAFETY: it moves a number into a register.
        unsafe {
            core::arch::asm!(
                "{value} = {placeholder}",
                value = lateout(reg) value,
                placeholder = const PLACEHOLDER,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        value
    }};
}
pub(crate) use moved;

/// Whether one of [`leaktrace_common::setup_flags`] is set; the verifier knows the answer and drops dead code.
#[inline(always)]
pub fn enabled(flag: u32) -> bool {
    setup!(flags) & flag != 0
}
