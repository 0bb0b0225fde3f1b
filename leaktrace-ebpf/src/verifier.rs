//! A form of code that the verifiers of old kernels need.

/// Put at the end of a loop's round, keeps the compiler from moving that end.
///
/// The compiler may otherwise order blocks so that the last instruction of a loop is no jump and runs into the first one. 5.10 and
/// 6.1 reject this ("back-edge", `check_cfg` in kernel/bpf/verifier.c).
macro_rules! end_of_round {
    ($counter:ident) => {
        // SAFETY: it moves a register to itself.
        unsafe { core::arch::asm!("{0} = {0}", inout(reg) $counter, options(nostack)) }
    };
}
pub(crate) use end_of_round;
