//! Decodes a few bytes of x86-64 code: whether a call ends here, how a function without tables ends, whether a thread starts
//! here.
//!
//! Pure: takes bytes and reads no file or process. Answers no in doubt.

/// Longest call instruction that [`is_after_call`] knows, in bytes without prefixes.
pub(crate) const LONGEST_CALL: usize = 7;

/// Whether a call instruction ends where these bytes end. Every return address follows a call.
///
/// Checks the last [`LONGEST_CALL`] bytes; fewer may be given. Other bytes can look like a call, so the condition is necessary
/// and not a proof.
pub(crate) fn is_after_call(bytes_before: &[u8]) -> bool {
    let end = bytes_before.len();
    // call rel32
    if end.checked_sub(5).is_some_and(|at| bytes_before[at] == 0xe8) {
        return true;
    }
    // call r/m64: FF /2, then the bytes of the addressing mode.
    (2..=LONGEST_CALL.min(end)).any(|len| {
        let call = &bytes_before[end - len..];
        call[0] == 0xff && indirect_call_len(&call[1..]) == Some(len)
    })
}

/// Length of an indirect call, with its opcode, from the bytes after the opcode. `None` for another instruction.
fn indirect_call_len(modrm: &[u8]) -> Option<usize> {
    let (&byte, rest) = modrm.split_first()?;
    let (mode, operation, register) = (byte >> 6, byte >> 3 & 7, byte & 7);
    if operation != 2 {
        return None;
    }
    if mode == 3 {
        return Some(2);
    }
    let sib = usize::from(register == 4);
    let displacement = match mode {
        0 if register == 5 => 4,
        0 if register == 4 && rest.first()? & 7 == 5 => 4,
        0 => 0,
        1 => 1,
        _ => 4,
    };
    Some(2 + sib + displacement)
}

/// Bytes after a return address that [`frame_from_epilogue`] and [`starts_thread`] need.
pub(crate) const LOOK_AHEAD: usize = 128;

/// Most jumps that are followed to reach the end of a function.
const MAX_JUMPS: u32 = 4;

/// Size of a frame without an unwind table, from the code that will remove it: `add $n,%rsp` and `pop` until `ret`.
///
/// Functions of musl, which has no tables, and the trampolines of CPython's `-X perf` end like this. Instructions that do not
/// change the stack are skipped, and short jumps are followed: every path to a `ret` removes the same frame. `None` at an
/// instruction that is not known here.
pub(super) fn frame_from_epilogue(code: &[u8]) -> Option<Epilogue> {
    leave(code, 0, Epilogue { return_at: 0, saved_rbp_at: None }, MAX_JUMPS)
}

fn leave(code: &[u8], mut at: usize, mut epilogue: Epilogue, jumps: u32) -> Option<Epilogue> {
    loop {
        let rest = code.get(at..)?;
        at += match *rest {
            [0xc3, ..] => return Some(epilogue),
            // add $imm8,%rsp and add $imm32,%rsp
            [0x48, 0x83, 0xc4, n @ 0..=0x7f, ..] => {
                epilogue.return_at += u64::from(n);
                4
            }
            [0x48, 0x81, 0xc4, a, b, c, d @ 0..=0x7f, ..] => {
                epilogue.return_at += u64::from(u32::from_le_bytes([a, b, c, d]));
                7
            }
            [0x5d, ..] => {
                epilogue.saved_rbp_at = Some(epilogue.return_at);
                epilogue.return_at += 8;
                1
            }
            // pop of another register; the upper eight have a prefix
            [0x58..=0x5b | 0x5e | 0x5f, ..] => {
                epilogue.return_at += 8;
                1
            }
            [0x41, 0x58..=0x5f, ..] => {
                epilogue.return_at += 8;
                2
            }
            // call rel32; the called function restores the stack pointer
            [0xe8, _, _, _, _, ..] => 5,
            // mov and test between registers, with or without a prefix; not mov to rsp or rbp
            [0x89, modrm, ..] if modrm >> 6 == 3 && !matches!(modrm & 7, 4 | 5) => 2,
            [0x48 | 0x4c, 0x89, modrm, ..] if modrm >> 6 == 3 && !matches!(modrm & 7, 4 | 5) => 3,
            [0x49 | 0x4d, 0x89, modrm, ..] if modrm >> 6 == 3 => 3,
            [0x85, modrm, ..] if modrm >> 6 == 3 => 2,
            [0x48, 0x85, modrm, ..] if modrm >> 6 == 3 => 3,
            // cmp $imm8 with a register
            [0x83, 0xf8..=0xff, _, ..] => 3,
            [0x48 | 0x49, 0x83, 0xf8..=0xff, _, ..] => 4,
            // jcc rel8: both paths are tried; jmp rel8: one path
            [0x70..=0x7f, to, ..] => {
                if let Some(there) = jump(at, to)
                    && let Some(found) = leave(code, there, epilogue, jumps.checked_sub(1)?)
                {
                    return Some(found);
                }
                2
            }
            [0xeb, to, ..] => return leave(code, jump(at, to)?, epilogue, jumps.checked_sub(1)?),
            _ => return None,
        };
    }
}

/// Target of a jump with a one-byte distance.
fn jump(at: usize, distance: u8) -> Option<usize> {
    at.checked_add(2)?.checked_add_signed(isize::from(distance.cast_signed()))
}

/// A frame, by distances from the stack pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epilogue {
    /// Distance to the return address, in bytes.
    pub return_at: u64,
    /// Distance to the caller's saved `rbp`, in bytes; `None` if it was not saved.
    pub saved_rbp_at: Option<u64>,
}

/// Whether a return address is in the first function of a thread, from the code before and after the address.
///
/// For walks that are complete but cannot see it: the C library often has no frame pointers, and musl's thread start has no
/// tables.
pub(crate) fn starts_thread(before: &[u8], behind: &[u8]) -> bool {
    if !is_after_call(before) {
        return false;
    }
    // The call must be indirect: the C library calls main and thread functions through a pointer.
    let indirect = !before.ends_with_call_rel32();
    match behind {
        // glibc, `__libc_start_call_main`: mov %eax,%edi; call exit
        [0x89, 0xc7, 0xe8, ..] => indirect,
        // musl, `start`: mov %rax,%rdi; call __pthread_exit
        [0x48, 0x89, 0xc7, 0xe8, ..] => indirect,
        // glibc, `start_thread`: mov %rax,%fs:… stores the result in the thread's descriptor
        [0x64, 0x48, 0x89, 0x04, 0x25, ..] => indirect,
        // musl, `__clone` and other hand-written assembly: the result goes to the exit system call
        _ => indirect && exits_at_once(behind),
    }
}

trait EndsWithCall {
    fn ends_with_call_rel32(&self) -> bool;
}

impl EndsWithCall for [u8] {
    /// Whether a direct call ends here, and the bytes cannot be an indirect one.
    fn ends_with_call_rel32(&self) -> bool {
        let indirect = (2..=LONGEST_CALL.min(self.len())).any(|len| {
            let call = &self[self.len() - len..];
            call[0] == 0xff && indirect_call_len(&call[1..]) == Some(len)
        });
        !indirect && is_after_call(self)
    }
}

/// Whether the first 16 bytes have `mov $60,%al` or `%eax` (exit), and a syscall after it.
fn exits_at_once(code: &[u8]) -> bool {
    let code = &code[..code.len().min(16)];
    let number = code.windows(2).position(|pair| pair == [0xb0, 60] || pair == [0xb8, 60]);
    let call = code.windows(2).position(|pair| pair == [0x0f, 0x05]);
    matches!((number, call), (Some(number), Some(call)) if number < call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_of_call_is_seen() {
        for call in [
            &[0xe8, 1, 2, 3, 4][..],         // call rel32
            &[0xff, 0xd0],                   // call *%rax
            &[0x41, 0xff, 0xd1],             // call *%r9
            &[0xff, 0x10],                   // call *(%rax)
            &[0xff, 0x14, 0xc8],             // call *(%rax,%rcx,8)
            &[0xff, 0x14, 0x25, 1, 2, 3, 4], // call *0x4030201
            &[0xff, 0x14, 0xcd, 1, 2, 3, 4], // call *0x4030201(,%rcx,8)
            &[0xff, 0x15, 1, 2, 3, 4],       // call *0x4030201(%rip)
            &[0xff, 0x50, 0x10],             // call *0x10(%rax)
            &[0xff, 0x54, 0x24, 0x10],       // call *0x10(%rsp)
            &[0xff, 0x90, 1, 2, 3, 4],       // call *0x4030201(%rax)
            &[0xff, 0x94, 0x24, 1, 2, 3, 4], // call *0x4030201(%rsp)
            &[0x2e, 0xff, 0xd0],             // notrack or segment prefix
        ] {
            assert!(is_after_call(call), "{call:02x?}");
            let with_more: Vec<u8> = [&[0x90; 9][..], call].concat();
            assert!(is_after_call(&with_more), "{call:02x?}");
        }
    }

    #[test]
    fn other_code_is_no_call() {
        for code in [
            &[][..],
            &[0x0f, 0x05],             // syscall
            &[0xc3],                   // ret
            &[0xe9, 1, 2, 3, 4],       // jmp rel32
            &[0xff, 0xe0],             // jmp *%rax
            &[0xff, 0x25, 1, 2, 3, 4], // jmp *(%rip)
            &[0xff, 0x30],             // push (%rax)
            &[0x48, 0x83, 0xec, 0x18], // sub $0x18,%rsp
            &[0xe8, 1, 2, 3],          // cut short
        ] {
            assert!(!is_after_call(code), "{code:02x?}");
        }
    }

    #[test]
    fn frames_without_tables_are_measured_by_how_they_are_left() {
        let frame = |return_at, saved_rbp_at| Some(Epilogue { return_at, saved_rbp_at });
        assert_eq!(frame_from_epilogue(&[0xc3]), frame(0, None));
        assert_eq!(frame_from_epilogue(&[0x48, 0x83, 0xc4, 8, 0xc3]), frame(8, None), "CPython 3.12");
        assert_eq!(frame_from_epilogue(&[0x5d, 0xc3]), frame(8, Some(0)), "CPython 3.13");
        assert_eq!(frame_from_epilogue(&[0x41, 0x5c, 0x5d, 0xc3]), frame(16, Some(8)));
        let musl = [0x48, 0x89, 0xc7, 0xe8, 1, 2, 3, 4, 0x48, 0x83, 0xc4, 0x18, 0xc3];
        assert_eq!(frame_from_epilogue(&musl), frame(24, None), "musl's connect");
        let cancellable = [0x5a, 0x59, 0x48, 0x83, 0xf8, 0xfc, 0x75, 0x02, 0x0f, 0x0b, 0x48, 0x83, 0xc4, 8, 0x5b, 0xc3];
        assert_eq!(frame_from_epilogue(&cancellable), frame(32, None), "musl's __syscall_cp_c");
        assert_eq!(frame_from_epilogue(&[0xeb, 0xfe]), None, "an endless loop");
        assert_eq!(frame_from_epilogue(&[0x75, 0xfe, 0x74, 0xfc, 0xeb, 0xfa]), None, "endless loops");
        assert_eq!(frame_from_epilogue(&[0x48, 0x83, 0xc4, 0xf8, 0xc3]), None, "a negative size");
        assert_eq!(frame_from_epilogue(&[0x48, 0x89, 0xec, 0xc3]), None, "mov %rbp,%rsp");
        assert_eq!(frame_from_epilogue(&[0x5d]), None);
    }

    #[test]
    fn roots_of_threads_are_known_by_what_follows() {
        let indirect = [0xff, 0xd0];
        assert!(starts_thread(&indirect, &[0x89, 0xc7, 0xe8, 1, 2, 3, 4]));
        assert!(starts_thread(&indirect, &[0x64, 0x48, 0x89, 0x04, 0x25, 0x30, 6, 0, 0]));
        assert!(starts_thread(&[0x41, 0xff, 0xd1], &[0x89, 0xc7, 0x31, 0xc0, 0xb0, 60, 0x0f, 0x05, 0xf4]));
        assert!(!starts_thread(&[0xe8, 1, 2, 3, 4], &[0x89, 0xc7, 0xe8, 1, 2, 3, 4]), "a call that the linker knew");
        assert!(!starts_thread(&indirect, &[0x89, 0xc7, 0x31, 0xc0, 0xc3]));
        assert!(!starts_thread(&[], &[0x89, 0xc7, 0xe8]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(before in proptest::collection::vec(any::<u8>(), 0..16),
                                behind in proptest::collection::vec(any::<u8>(), 0..32)) {
            let _ = starts_thread(&before, &behind);
            let _ = frame_from_epilogue(&behind);
        }
    }
}
