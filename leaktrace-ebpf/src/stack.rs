//! Walking the caller's user stack by frame pointers, and hashing what was found.

use crate::{
    kernel::{UserRegisters, executable_code},
    maps::setup,
};
use aya_ebpf::helpers::{bpf_probe_read_user, bpf_probe_read_user_buf};
use core::hint::black_box;
use leaktrace_common::{MAX_FRAMES, StackEntry, capture};

/// Where one program on one processor puts a stack together.
#[repr(C)]
pub struct Scratch {
    /// What the walk finds.
    pub stack: StackEntry,
    /// Words of the stack being looked at.
    pub words: ScanWords,
}

/// Room for the words that [`mix_return_addresses`] looks at.
#[repr(C)]
pub struct ScanWords([u64; SCANNED_WORDS]);

impl ScanWords {
    #[inline(always)]
    fn as_mut_bytes(&mut self) -> &mut [u8] {
        let words: *mut u8 = self.0.as_mut_ptr().cast();
        // SAFETY: the words are that many bytes, and any bytes are words.
        unsafe { core::slice::from_raw_parts_mut(words, SCANNED_WORDS * 8) }
    }
}

/// Odd constant of the multiplicative mix (2^64 / golden ratio).
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

#[inline(always)]
fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(MIX);
    mixed ^ (mixed >> 29)
}

/// Two hashes of a stack, never 0 and often equal.
#[derive(Clone, Copy)]
pub struct StackHashes {
    /// Of what the frame pointers led to.
    pub coarse: u64,
    /// The same with words of the stack that tell callers apart, where frame pointers lead nowhere.
    pub fine: u64,
}

/// Walks the stack into `entry` and gives hashes of its content.
///
/// Costs one checked read of 16 bytes a frame. The chain must lead upwards, so a hostile stack ends the walk
/// at the latest after [`MAX_FRAMES`] steps.
#[inline(always)]
pub fn walk(regs: &UserRegisters, entry: &mut StackEntry, words: &mut ScanWords) -> StackHashes {
    let mut hash = mix(setup!(seed), regs.ip);
    entry.frames[0] = regs.ip;
    entry.leaf_return = leaf_return(regs.sp);
    hash = mix(hash, entry.leaf_return);
    let mut frame_pointer = regs.bp;
    let mut floor = regs.sp;
    let mut len = 1;
    let mut ended = capture::TOO_DEEP;
    while len < MAX_FRAMES {
        if frame_pointer == 0 {
            ended = capture::AT_START;
            break;
        }
        if frame_pointer < floor || frame_pointer & 7 != 0 {
            ended = capture::BROKEN;
            break;
        }
        // SAFETY: the helper checks the address itself.
        let Ok([caller, ip]) = (unsafe { bpf_probe_read_user(frame_pointer as *const [u64; 2]) }) else {
            ended = capture::BROKEN;
            break;
        };
        if ip == 0 {
            ended = capture::AT_START;
            break;
        }
        entry.frames[len] = ip;
        hash = mix(hash, ip);
        floor = frame_pointer + 16;
        frame_pointer = caller;
        len += 1;
    }
    entry.len = len as u32;
    entry.ended = ended;
    let fine = if ended == capture::BROKEN { mix_return_addresses(hash, regs, words) } else { hash };
    StackHashes { coarse: hash | 1, fine: fine | 1 }
}

/// Words of the stack that tell callers apart where frame pointers do not: 1 KiB.
const SCANNED_WORDS: usize = 128;

/// How many of them count, from the leaf on: the more, the more often a stale one among them makes one call site two.
const MOST_RETURN_ADDRESSES: u64 = 24;

/// Mixes in what looks like return addresses: words that point into the executable's code. Stale ones among them make
/// one call site into a few, which user space puts together again.
#[inline(always)]
fn mix_return_addresses(mut hash: u64, regs: &UserRegisters, words: &mut ScanWords) -> u64 {
    // SAFETY: the helper checks the user address itself; the buffer is as long as said.
    if unsafe { bpf_probe_read_user_buf(regs.sp as *const u8, words.as_mut_bytes()) }.is_err() {
        return hash;
    }
    let (start, end) = executable_code();
    let length = end.wrapping_sub(start);
    let (mut at, mut counted) = (0, 0_u64);
    while at < SCANNED_WORDS {
        let word = words.0[at];
        at += 1;
        // Without branches: the verifier follows every path. The distance of a word below the start wraps around.
        let distance = word.wrapping_sub(start);
        let inside = black_box((distance.wrapping_sub(length) & !distance) >> 63);
        counted += inside;
        let wanted = inside & black_box(counted.wrapping_sub(MOST_RETURN_ADDRESSES + 1) >> 63);
        hash = mix(hash, word & wanted.wrapping_neg());
    }
    hash
}

/// The word at the stack pointer, if the bytes before what it points to can be a call instruction.
#[inline(always)]
fn leaf_return(sp: u64) -> u64 {
    // SAFETY: the helper checks the address itself.
    let Ok(word) = (unsafe { bpf_probe_read_user(sp as *const u64) }) else {
        return 0;
    };
    if word < 4096 {
        return 0;
    }
    // SAFETY: the helper checks the address itself.
    let Ok(code) = (unsafe { bpf_probe_read_user((word - 8) as *const u64) }) else {
        return 0;
    };
    if ends_in_call(code) { word } else { 0 }
}

/// Whether eight bytes of x86-64 code, the last in the highest byte, can end in a call: `E8 rel32`, or `FF /2` with a
/// register, memory, displacement or scaled operand.
#[inline(always)]
fn ends_in_call(code: u64) -> bool {
    let byte = |from_end: u32| (code >> (64 - 8 * from_end)) as u8;
    let indirect = |from_end: u32| byte(from_end) == 0xFF && byte(from_end - 1) & 0x38 == 0x10;
    byte(5) == 0xE8 || indirect(2) || indirect(3) || indirect(6) || indirect(7)
}
