//! Walking the caller's user stack along its frame pointers, and hashing what is found.

use crate::{
    constants::setup_wide,
    map_values::{LEAVES, Leaf, Scratch},
    task::{Task, UserRegisters},
    verifier::end_of_round,
    window::{WINDOW_WORDS, Window},
};
use aya_ebpf::helpers::bpf_probe_read_user;
use core::hint::cold_path;
use leaktrace_common::{MAX_FRAMES, capture, opaque};

/// Odd constant of the multiplicative mix (2^64 / golden ratio).
pub const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

#[inline(always)]
fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(MIX);
    mixed ^ (mixed >> 29)
}

/// Two hashes of a stack. They are odd, and often equal.
#[derive(Clone, Copy)]
pub struct StackHashes {
    /// Of the frames that the frame pointers lead to.
    pub coarse: u64,
    /// Of these and, where the frame pointers lead nowhere, of words on the stack that differ between callers.
    pub fine: u64,
}

/// Walks the stack of the caller, `task` of process `tgid`. Writes the frames into the scratch and returns hashes of them.
///
/// Costs one probe read for each [`Window`] that contains frames, and one of code for the leaf. Each frame must be above the one before,
/// so the walk over a hostile stack ends too, at the latest after [`MAX_FRAMES`] steps.
#[inline(always)]
pub fn walk(task: Task, regs: &UserRegisters, tgid: u32, scratch: &mut Scratch) -> StackHashes {
    let Scratch { stack: entry, window, leaves, .. } = scratch;
    let bottom = regs.sp & !7;
    entry.frames[0] = regs.ip;
    let has_bottom = window.fill(bottom);
    if !has_bottom {
        cold_path();
        window.clear();
    }
    let leaf = leaf(if has_bottom { window.first() } else { 0 }, task, tgid, leaves);
    entry.leaf_return = leaf.return_address();
    let mut hash = mix(mix(setup_wide!(seed), regs.ip), entry.leaf_return);
    let mut frame_pointer = regs.bp;
    let mut floor = regs.sp;
    let mut len = 1;
    let mut ended = capture::TOO_DEEP;
    while len < MAX_FRAMES {
        if frame_pointer < floor || frame_pointer & 7 != 0 {
            ended = if frame_pointer == 0 { capture::AT_START } else { capture::BROKEN };
            break;
        }
        if window.distance_to(frame_pointer).is_none() && !window.fill(frame_pointer) {
            ended = capture::BROKEN;
            break;
        }
        let [caller, ip] = window.record(frame_pointer);
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
    let mut fine = hash;
    // Code without frame pointers may have a 0 in that register, such as a loop's counter, which looks like the thread's start.
    let is_doubtful = ended == capture::BROKEN || len <= FEW_FRAMES;
    if is_doubtful {
        if !(window.is_whole_at(bottom) || window.fill(bottom) && window.is_whole_at(bottom)) {
            cold_path();
            window.fill_to_the_end(bottom);
        }
        fine = mix_return_addresses(hash, leaf, window);
    }
    StackHashes { coarse: hash | 1, fine: fine | 1 }
}

/// A chain that reaches the thread's start in at most this many frames is doubted: code without frame pointers may call two functions of
/// a library that has them. Go has frame pointers everywhere, and reaches its system calls through more functions.
const FEW_FRAMES: usize = 4;

/// How many return addresses count, from the leaf on. With more, it happens more often that a stale one splits a call site.
const MOST_RETURN_ADDRESSES: u64 = 24;

/// Mixes in words that look like return addresses: those that point into the executable's code, as distances from its start. Stale ones
/// split a call site into a few, which user space joins again.
///
/// Few words point there. The others cost four instructions each and a branch that is always predicted. The verifier knows nothing that
/// differs between the paths through a round, so the paths merge again after each word.
#[inline(always)]
fn mix_return_addresses(hash: u64, leaf: &Leaf, window: &Window) -> u64 {
    let (start, length) = (leaf.code_start, leaf.code_bytes);
    let mut hash = hash;
    let mut left = window.unknown_zero().wrapping_add(MOST_RETURN_ADDRESSES);
    let mut at = 0_usize;
    'scan: loop {
        let mut ahead = 0;
        while ahead < 8 {
            // SAFETY: the index is below the number of words, which is divisible by eight.
            let word = unsafe { window.word(at + ahead) };
            // The distance of a word below the start wraps around.
            let distance = opaque(word.wrapping_sub(start));
            if distance < length {
                hash = mix(hash, distance);
                left = left.wrapping_sub(1);
                if left == 0 {
                    break 'scan;
                }
            }
            ahead += 1;
        }
        end_of_round!(at);
        at += 8;
        if at == WINDOW_WORDS {
            break;
        }
    }
    hash
}

/// What is known about the word at the stack pointer: whether the bytes before the place it points to can be a call instruction.
#[inline(always)]
fn leaf<'a>(word: u64, task: Task, tgid: u32, leaves: &'a mut [Leaf; LEAVES]) -> &'a Leaf {
    let place = opaque(word.wrapping_mul(MIX) >> 58) as usize & (LEAVES - 1);
    let leaf = &mut leaves[place];
    if leaf.word != word || leaf.tgid != tgid {
        cold_path();
        let is_return = word >= 4096
            // SAFETY: the helper checks the address itself.
            && unsafe { bpf_probe_read_user((word - 8) as *const u64) }.is_ok_and(ends_in_call);
        let (code_start, code_end) = task.executable_code();
        let code_bytes = code_end.wrapping_sub(code_start);
        *leaf = Leaf { word, tgid, is_return: u32::from(is_return), code_start, code_bytes };
    }
    leaf
}

impl Leaf {
    /// The word if it is a return address, else 0.
    #[inline(always)]
    fn return_address(&self) -> u64 {
        self.word & u64::from(self.is_return).wrapping_neg()
    }
}

/// Whether eight bytes of x86-64 code, the last in the highest byte, can end with a call: `E8 rel32`, or `FF /2` with a register, memory,
/// displacement or scaled operand.
#[inline(always)]
fn ends_in_call(code: u64) -> bool {
    let byte = |from_end: u32| (code >> (64 - 8 * from_end)) as u8;
    let indirect = |from_end: u32| byte(from_end) == 0xFF && byte(from_end - 1) & 0x38 == 0x10;
    byte(5) == 0xE8 || indirect(2) || indirect(3) || indirect(6) || indirect(7)
}
