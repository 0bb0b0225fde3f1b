//! Clearing memory. The compiler turns `T::default()` into a call of `memset`, which is a loop over bytes on this target: 152 rounds
//! for a row, and a pass clears one for every socket.

use core::mem::MaybeUninit;
use leaktrace_common::opaque;

/// Sets every byte of a value to zero, one word at a time.
#[inline(always)]
pub fn clear<T>(place: *mut T) {
    const { assert!(size_of::<T>() % 8 == 0 && align_of::<T>() == 8) };
    let words: *mut u64 = place.cast();
    // Hidden: with a known zero the compiler would use memset again.
    let zero = opaque(0);
    let mut word = 0;
    while word < size_of::<T>() / 8 {
        // SAFETY: callers pass a whole value, which is that many words. Volatile, so that this does not become a memset.
        unsafe { words.add(word).write_volatile(zero) };
        word += 1;
    }
}

/// A value of zeroes, for types that consist of numbers.
#[inline(always)]
pub fn cleared<T: Copy + Default>() -> T {
    let mut value = MaybeUninit::uninit();
    clear(value.as_mut_ptr());
    // SAFETY: the types that cross the kernel boundary consist of numbers, for which zero is a value.
    unsafe { value.assume_init() }
}
