//! Walking the caller's user stack by frame pointers, and hashing what was found.

use crate::{
    callsites::Recent,
    constants::setup_wide,
    kernel::{RegistersPlace, Task, UserRegisters},
};
use aya_ebpf::helpers::{bpf_probe_read_user, bpf_probe_read_user_buf};
use core::{arch::asm, hint::cold_path};
use leaktrace_common::{MAX_FRAMES, StackEntry, capture, opaque};

/// Where one program on one processor puts a stack together.
#[repr(C)]
pub struct Scratch {
    /// What the walk finds.
    pub stack: StackEntry,
    /// The piece of the stack being looked at.
    window: Window,
    /// Where user registers are.
    pub registers: RegistersPlace,
    /// Call sites that were found of late: see [`crate::callsites`].
    pub recent: Recent,
    /// Return addresses of leaves that were looked at before.
    leaves: [Leaf; LEAVES],
}

/// Places for [`Leaf`]s, a power of two: a program opens its sockets through one or two of them.
const LEAVES: usize = 64;

/// What the code before an address was found to be, and where its process has its code. Reading that costs as much as reading
/// the stack, and it hardly ever changes; a process that maps other code to the same address may get a leaf of its old one.
#[repr(C)]
#[derive(Clone, Copy)]
struct Leaf {
    /// The word at the stack pointer.
    word: u64,
    /// In this process.
    tgid: u32,
    /// 1 if it points behind a call.
    is_return: u32,
    /// Where the code of the executable begins.
    code_start: u64,
    /// How long it is.
    code_bytes: u64,
}

impl Leaf {
    /// The word, if it is a return address; else 0.
    #[inline(always)]
    fn return_address(&self) -> u64 {
        self.word & u64::from(self.is_return).wrapping_neg()
    }
}

/// Words in a [`Window`]: 1 KiB, in which the frames of most callers lie. A read of the kernel's helper costs the same for
/// 16 bytes as for hundreds, so one window is cheaper than two frames read one by one.
const WINDOW_WORDS: usize = 128;

/// A piece of the caller's stack.
///
/// Where it lies is kept beside it: what is read back from a map is unknown to the verifier, so that paths through the walk
/// merge again. In registers each way to come by a window would be followed to the end of the walk.
#[repr(C)]
pub struct Window {
    /// Address of the first word.
    start: u64,
    /// Distance from there to the last frame record that can be taken, in bytes.
    reach: u64,
    /// One word more than is read, so that a masked index and the next one are inside.
    words: [u64; WINDOW_WORDS + 1],
    /// Always 0, which the verifier does not know.
    zero: u64,
}

impl Window {
    /// Of a window that was read whole.
    const REACH: u64 = WINDOW_WORDS as u64 * 8 - 16;

    /// Reads what lies at `start`, or the first record of it where the end of the stack is near; whether there is one.
    #[inline(always)]
    fn fill(&mut self, start: u64) -> bool {
        let words: *mut u8 = self.words.as_mut_ptr().cast();
        // SAFETY: the words are that many bytes, and any bytes are words.
        let bytes = unsafe { core::slice::from_raw_parts_mut(words, WINDOW_WORDS * 8) };
        let mut reach = Self::REACH;
        // SAFETY: the helper checks the user address itself.
        if unsafe { bpf_probe_read_user_buf(start as *const u8, bytes) }.is_err() {
            cold_path();
            // SAFETY: as above.
            let Ok(record) = (unsafe { bpf_probe_read_user(start as *const [u64; 2]) }) else {
                return false;
            };
            self.words[0] = record[0];
            self.words[1] = record[1];
            reach = 0;
        }
        self.lie_at(start, reach);
        true
    }

    /// Holds nothing: any address is beyond its reach.
    #[inline(always)]
    fn clear(&mut self) {
        self.lie_at(u64::MAX, 0);
    }

    #[inline(always)]
    fn lie_at(&mut self, start: u64, reach: u64) {
        // SAFETY: both are fields of a live map value; volatile, so that they are stored there.
        unsafe { (&raw mut self.start).write_volatile(start) };
        // SAFETY: as above.
        unsafe { (&raw mut self.reach).write_volatile(reach) };
    }

    /// How far `address` lies from its start, if a record can be taken there.
    #[inline(always)]
    fn distance_to(&self, address: u64) -> Option<u64> {
        // SAFETY: as in `lie_at`.
        let (start, reach) =
            unsafe { ((&raw const self.start).read_volatile(), (&raw const self.reach).read_volatile()) };
        let distance = address.wrapping_sub(start);
        (distance <= reach).then_some(distance)
    }

    /// Whether it begins at `address` and is whole.
    #[inline(always)]
    fn is_whole_at(&self, address: u64) -> bool {
        self.distance_to(address) == Some(0) && self.distance_to(address + Self::REACH).is_some()
    }

    /// The two words at `address`, which is within its reach.
    #[inline(always)]
    fn record(&self, address: u64) -> [u64; 2] {
        // SAFETY: as in `lie_at`.
        let distance = address.wrapping_sub(unsafe { (&raw const self.start).read_volatile() });
        // Opaque, or the mask that the verifier needs would be optimized away.
        let word = opaque(distance >> 3) as usize & (WINDOW_WORDS - 1);
        [self.words[word], self.words[word + 1]]
    }
}

/// Odd constant of the multiplicative mix (2^64 / golden ratio).
pub const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

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

/// Walks the stack of `task`, the caller, of process `tgid`, into the scratch and gives hashes of its content.
///
/// Costs a checked read for each [`Window`] that the frames lie in, and one of code for the leaf. The chain must lead
/// upwards, so a hostile stack ends the walk at the latest after [`MAX_FRAMES`] steps.
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
    let leaf = leaf(if has_bottom { window.words[0] } else { 0 }, task, tgid, leaves);
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
    // Code without frame pointers may hold a 0 in that register, such as a loop's counter, which looks like the thread's start.
    let is_doubtful = ended == capture::BROKEN || len <= FEW_FRAMES;
    if is_doubtful && (window.is_whole_at(bottom) || window.fill(bottom) && window.is_whole_at(bottom)) {
        fine = mix_return_addresses(hash, leaf, window);
    }
    StackHashes { coarse: hash | 1, fine: fine | 1 }
}

/// A chain that ends at the thread's start in so few frames is not believed: two functions of a library with frame pointers may
/// be called by code without. Go, which has frame pointers throughout, comes to its system calls through more functions.
const FEW_FRAMES: usize = 4;

/// How many words of the stack count, from the leaf on: the more, the more often a stale one among them makes one call site two.
const MOST_RETURN_ADDRESSES: u64 = 24;

/// Mixes in what looks like return addresses: words that point into the executable's code, as distances from its start. Stale
/// ones among them make one call site into a few, which user space puts together again.
///
/// Few words are: the others cost four instructions each, and a branch that is always foreseen. Nothing that may differ between
/// the paths through a round is known to the verifier, so that they merge again after each word.
#[inline(always)]
fn mix_return_addresses(hash: u64, leaf: &Leaf, window: &Window) -> u64 {
    let (start, length) = (leaf.code_start, leaf.code_bytes);
    let mut hash = hash;
    // SAFETY: a field of a live map value.
    let mut left = unsafe { (&raw const window.zero).read_volatile() }.wrapping_add(MOST_RETURN_ADDRESSES);
    let mut at = 0_usize;
    'scan: loop {
        let mut ahead = 0;
        while ahead < 8 {
            // SAFETY: the index is below the number of words, which is divisible by eight.
            let word = unsafe { *window.words.get_unchecked(at + ahead) };
            // That of a word below the start wraps around.
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
        // The end of the round stays here: without something that the compiler cannot move it makes a loop whose last
        // instruction falls through to its first, which 5.10 and 6.1 refuse (`check_cfg`, "back-edge").
        // SAFETY: it moves a register to itself.
        unsafe { asm!("{0} = {0}", inout(reg) at, options(nostack)) };
        at += 8;
        if at == WINDOW_WORDS {
            break;
        }
    }
    hash
}

/// What is known of the word at the stack pointer: whether the bytes before what it points to can be a call instruction.
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

/// Whether eight bytes of x86-64 code, the last in the highest byte, can end in a call: `E8 rel32`, or `FF /2` with a
/// register, memory, displacement or scaled operand.
#[inline(always)]
fn ends_in_call(code: u64) -> bool {
    let byte = |from_end: u32| (code >> (64 - 8 * from_end)) as u8;
    let indirect = |from_end: u32| byte(from_end) == 0xFF && byte(from_end - 1) & 0x38 == 0x10;
    byte(5) == 0xE8 || indirect(2) || indirect(3) || indirect(6) || indirect(7)
}
