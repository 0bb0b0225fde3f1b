//! A piece of the caller's stack, read at once.

use aya_ebpf::helpers::{bpf_probe_read_user, bpf_probe_read_user_buf, generated};
use core::hint::cold_path;
use leaktrace_common::opaque;

/// Words in a [`Window`]: 1 KiB, which contains the frames of most callers. A probe read costs the same for 16 bytes as for hundreds, so
/// one window is cheaper than two frames read one by one.
pub const WINDOW_WORDS: usize = 128;

/// A piece of the caller's stack.
///
/// Its position is kept in the map, beside the words. The verifier knows nothing about a value read from a map, so the paths through
/// the walk merge again. With the position in registers, the verifier would follow each way to get a window to the end of the walk.
#[repr(C)]
pub struct Window {
    /// Address of the first word.
    start: u64,
    /// Distance from there to the last frame record inside, in bytes.
    reach: u64,
    /// One word more than is read, so that a masked index plus one is inside.
    words: [u64; WINDOW_WORDS + 1],
    /// Always 0, which the verifier does not know.
    zero: u64,
}

impl Window {
    /// [`Self::reach`] of a window that was read completely.
    const REACH: u64 = WINDOW_WORDS as u64 * 8 - 16;

    /// Reads the stack at `start`; near the end of the stack, only the first frame record. False if nothing can be read.
    #[inline(always)]
    pub fn fill(&mut self, start: u64) -> bool {
        let words: *mut u8 = self.words.as_mut_ptr().cast();
        // SAFETY: the words are that many bytes, and any bytes are words.
        let bytes = unsafe { core::slice::from_raw_parts_mut(words, WINDOW_WORDS * 8) };
        let mut reach = Self::REACH;
        // SAFETY: the helper checks the user address itself.
        if unsafe { bpf_probe_read_user_buf(start as *const u8, bytes) }.is_err() {
            cold_path();
            // SAFETY: the helper checks the user address itself.
            let Ok(record) = (unsafe { bpf_probe_read_user(start as *const [u64; 2]) }) else {
                return false;
            };
            self.words[0] = record[0];
            self.words[1] = record[1];
            reach = 0;
        }
        self.set_position(start, reach);
        true
    }

    /// Reads the words from `start` to the end of the stack, in pieces, where the end is nearer than the window is long. The helper fills
    /// a piece that it cannot read with zeros. No frame record is inside.
    #[inline(always)]
    pub fn fill_to_the_end(&mut self, start: u64) {
        const PIECE: usize = 128;
        let words: *mut u8 = self.words.as_mut_ptr().cast();
        let mut at = 0;
        while at < WINDOW_WORDS * 8 {
            // SAFETY: the piece lies inside the words.
            let to = unsafe { words.add(at) };
            // SAFETY: the helper checks the user address itself, and writes no more than the piece.
            unsafe { generated::bpf_probe_read_user(to.cast(), PIECE as u32, (start + at as u64) as *const _) };
            at += PIECE;
        }
        self.clear();
    }

    /// Empties the window: no address is inside.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.set_position(u64::MAX, 0);
    }

    #[inline(always)]
    fn set_position(&mut self, start: u64, reach: u64) {
        // SAFETY: a field of a live map value. Volatile, so that it is stored there.
        unsafe { (&raw mut self.start).write_volatile(start) };
        // SAFETY: a field of a live map value. Volatile, so that it is stored there.
        unsafe { (&raw mut self.reach).write_volatile(reach) };
    }

    /// Distance of `address` from the start, if a whole frame record is there.
    #[inline(always)]
    pub fn distance_to(&self, address: u64) -> Option<u64> {
        // SAFETY: two fields of a live map value. Volatile, so that they are loaded from there.
        let (start, reach) =
            unsafe { ((&raw const self.start).read_volatile(), (&raw const self.reach).read_volatile()) };
        let distance = address.wrapping_sub(start);
        (distance <= reach).then_some(distance)
    }

    /// Whether the window begins at `address` and was read completely.
    #[inline(always)]
    pub fn is_whole_at(&self, address: u64) -> bool {
        self.distance_to(address) == Some(0) && self.distance_to(address + Self::REACH).is_some()
    }

    /// The first word.
    #[inline(always)]
    pub fn first(&self) -> u64 {
        self.words[0]
    }

    /// The word at an index.
    ///
    /// # Safety
    /// The index must be below [`WINDOW_WORDS`].
    #[inline(always)]
    pub unsafe fn word(&self, index: usize) -> u64 {
        // SAFETY: the caller promises that the index is inside.
        unsafe { *self.words.get_unchecked(index) }
    }

    /// The two words at `address`, for which [`Self::distance_to`] must have given a distance.
    #[inline(always)]
    pub fn record(&self, address: u64) -> [u64; 2] {
        // SAFETY: a field of a live map value. Volatile, so that it is loaded from there.
        let distance = address.wrapping_sub(unsafe { (&raw const self.start).read_volatile() });
        // Hidden, or the compiler would remove the mask that the verifier needs.
        let word = opaque(distance >> 3) as usize & (WINDOW_WORDS - 1);
        [self.words[word], self.words[word + 1]]
    }

    /// A zero that the verifier does not know.
    #[inline(always)]
    pub fn unknown_zero(&self) -> u64 {
        // SAFETY: a field of a live map value. Volatile, so that it is loaded from there.
        unsafe { (&raw const self.zero).read_volatile() }
    }
}
