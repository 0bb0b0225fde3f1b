//! Hiding a value from the compiler, where what it would make of it is worse than what is written.

/// The same value, of which the compiler knows nothing.
///
/// `core::hint::black_box` sends it through memory; on the kernel side that is a store and a load for each of the dozens
/// of conditions that are decided for every socket, so there a move of its register to itself does the same. (Without any
/// instruction two line entries would share one address, which the verifier refuses.)
#[inline(always)]
pub fn opaque(value: u64) -> u64 {
    #[cfg(not(target_arch = "bpf"))]
    {
        core::hint::black_box(value)
    }
    #[cfg(target_arch = "bpf")]
    {
        let mut hidden = value;
        // SAFETY: it moves a register to itself.
        unsafe { core::arch::asm!("{0} = {0}", inout(reg) hidden, options(pure, nomem, nostack, preserves_flags)) };
        hidden
    }
}
