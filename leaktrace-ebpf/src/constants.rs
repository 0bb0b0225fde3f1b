//! Values that user space knows before it loads the programs: [`Offsets`](leaktrace_common::Offsets) and
//! [`Setup`](leaktrace_common::Setup).
//!
//! Each use is an instruction that moves a number into a register. User space replaces the number by the value
//! ([`leaktrace_common::relocation`]). The verifier would also know values in read-only data, but each use would then be a load from
//! memory that is not in the cache, and twice the code.

/// A field of [`Offsets`](leaktrace_common::Offsets), as `usize`.
macro_rules! offset {
    ($field:ident) => {
        $crate::constants::relocated!(leaktrace_common::relocation::of_offset(core::mem::offset_of!(
            leaktrace_common::Offsets,
            $field
        ))) as usize
    };
}
pub(crate) use offset;

/// Whether this kernel has an optional field of [`Offsets`](leaktrace_common::Offsets).
macro_rules! has_field {
    ($field:ident) => {
        $crate::constants::offset!($field) != leaktrace_common::Offsets::ABSENT as usize
    };
}
pub(crate) use has_field;

/// A field of [`Setup`](leaktrace_common::Setup), as `u32`.
macro_rules! setup {
    ($field:ident) => {
        $crate::constants::relocated!(leaktrace_common::relocation::of_setup(core::mem::offset_of!(
            leaktrace_common::Setup,
            $field
        ))) as u32
    };
}
pub(crate) use setup;

/// A field of [`SetupWide`](leaktrace_common::SetupWide), as `u64`.
macro_rules! setup_wide {
    ($field:ident) => {{
        const NUMBER: i32 = leaktrace_common::relocation::of_setup_wide(core::mem::offset_of!(
            leaktrace_common::SetupWide,
            $field
        ));
        let value: u64;
        // SAFETY: it moves a number into a register.
        unsafe {
            core::arch::asm!(
                "{value} = {number} ll",
                value = lateout(reg) value,
                number = const NUMBER,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        value
    }};
}
pub(crate) use setup_wide;

/// The value of a relocation, as `u64`.
macro_rules! relocated {
    ($number:expr) => {{
        const NUMBER: i32 = $number;
        let value: u64;
        // SAFETY: it moves a number into a register.
        unsafe {
            core::arch::asm!(
                "{value} = {number}",
                value = lateout(reg) value,
                number = const NUMBER,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        value
    }};
}
pub(crate) use relocated;

/// Whether one of [`leaktrace_common::setup_flags`] is set. The verifier knows the answer and drops code that it excludes.
#[inline(always)]
pub fn enabled(flag: u32) -> bool {
    setup!(flags) & flag != 0
}
