//! Hides a value from the compiler, for code that the compiler would otherwise change into a form the verifier rejects or that is
//! slower.

/// Returns `value`. The compiler cannot know anything about the result.
///
/// `core::hint::black_box` stores the value to memory and loads it again. The kernel side decides dozens of conditions for every
/// socket, so there a move of the register to itself is used instead. (An empty assembly block would do for the compiler, but two
/// line entries at one address are rejected by the verifier.)
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
