//! Clearing memory. What the compiler makes of `T::default()` is a call of `memset`, which for this target is a loop over
//! bytes: 136 rounds for a row, in a pass that does it for every socket.

use core::mem::MaybeUninit;
use leaktrace_common::opaque;

/// Sets every byte of a value to zero, a word at a time.
#[inline(always)]
pub fn clear<T>(place: *mut T) {
    const { assert!(size_of::<T>() % 8 == 0 && align_of::<T>() == 8) };
    let words: *mut u64 = place.cast();
    // A zero that the compiler knows of, it would clear copies of this value with memset.
    let zero = opaque(0);
    let mut word = 0;
    while word < size_of::<T>() / 8 {
        // SAFETY: callers pass a whole value, which is that many words. Volatile, or this becomes a memset again.
        unsafe { words.add(word).write_volatile(zero) };
        word += 1;
    }
}

/// A value of zeroes, for types of plain numbers.
#[inline(always)]
pub fn cleared<T: Copy + Default>() -> T {
    let mut value = MaybeUninit::uninit();
    clear(value.as_mut_ptr());
    // SAFETY: the types that cross the kernel boundary are numbers only, for which zero is a value.
    unsafe { value.assume_init() }
}
