//! Reading fields of kernel structures: by loads where the verifier knows the type, by probe reads where it does not.

use crate::constants::enabled;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use core::{arch::asm, ffi::c_void, mem::MaybeUninit};
use leaktrace_common::{relocation::RDONLY_CAST_CALL, setup_flags};

/// A way to read fields of one kernel object.
pub trait Fields: Copy {
    /// The value at `offset` bytes.
    fn read<T: Copy + Default>(self, offset: usize) -> T;
}

/// A pointer read from a typed object. The verifier knows its type.
#[derive(Clone, Copy)]
pub struct Pointer(pub *mut u8);

impl Default for Pointer {
    fn default() -> Self {
        Self(core::ptr::null_mut())
    }
}

/// A pointer whose type the verifier knows. Reads are plain loads that cannot fault: a bad address reads 0.
#[derive(Clone, Copy)]
pub struct Typed(pub *const u8);

impl Fields for Typed {
    #[inline(always)]
    fn read<T: Copy + Default>(self, offset: usize) -> T {
        // SAFETY: the verifier checks that the offset is a field of the pointer's type.
        let field = unsafe { self.0.add(offset) }.cast::<T>();
        // SAFETY: the verifier checks the load. Volatile, so that it keeps the width of the field.
        unsafe { field.read_volatile() }
    }
}

/// Gives an address the type of a structure, with the kernel function `bpf_rdonly_cast` (6.2). Reads through it are loads that give 0
/// at a bad address; a probe read would be a call. `type_id` must be the BTF type id of a structure.
///
/// aya does not relocate calls of kernel functions. So this calls a helper that does not exist, and user space replaces the call before
/// loading ([`RDONLY_CAST_CALL`]).
#[inline(always)]
pub fn rdonly_cast(address: u64, type_id: u32) -> Typed {
    let typed: *const u8;
    // SAFETY: a call takes its arguments in r1 and r2 and changes r0 to r5.
    unsafe {
        asm!(
            "call {call}",
            call = const RDONLY_CAST_CALL,
            inlateout("r1") address => _,
            inlateout("r2") u64::from(type_id) => _,
            lateout("r0") typed,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
        );
    }
    Typed(typed)
}

/// A structure at an address that the verifier knows nothing about. Reads are loads where [`rdonly_cast`] can be called, else probe
/// reads.
#[derive(Clone, Copy)]
pub struct Structure {
    address: u64,
    type_id: u32,
}

impl Structure {
    /// The structure with BTF type id `type_id` at `address`.
    #[inline(always)]
    pub fn at(address: u64, type_id: u32) -> Self {
        Self { address, type_id }
    }
}

impl Fields for Structure {
    #[inline(always)]
    fn read<T: Copy + Default>(self, offset: usize) -> T {
        if enabled(setup_flags::RDONLY_CAST) {
            rdonly_cast(self.address, self.type_id).read(offset)
        } else {
            Address(self.address).read(offset)
        }
    }
}

/// An address that the verifier knows nothing about. Reads are probe reads, which give zero if they fail.
#[derive(Clone, Copy)]
pub struct Address(pub u64);

impl Fields for Address {
    #[inline(always)]
    fn read<T: Copy + Default>(self, offset: usize) -> T {
        let field = self.0.wrapping_add(offset as u64) as *const c_void;
        let mut value = MaybeUninit::<T>::uninit();
        // The result needs no check: a failed read clears the value (`bpf_probe_read_kernel_common`, kernel/trace/bpf_trace.c, 5.5).
        // SAFETY: the helper checks the address itself, and the value is that long.
        unsafe { bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, field) };
        // SAFETY: only numbers are read, for which any bytes are a value.
        unsafe { value.assume_init() }
    }
}
