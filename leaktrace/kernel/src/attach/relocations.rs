//! Replaces the relocations in the programs by values of the running kernel, before they are loaded: see [`leaktrace_common::relocation`].

use super::facts::KernelFacts;
use leaktrace_common::{OFFSET_COUNT, Setup, SetupWide, relocation, setup_flags};
use object::{Object as _, ObjectSection as _};
use std::ops::Range;
use zerocopy::IntoBytes as _;

/// `struct bpf_insn` (include/uapi/linux/bpf.h): operation, registers, offset, immediate value.
const INSTRUCTION: usize = 8;
/// Position of the immediate value.
const IMMEDIATE: Range<usize> = 4..8;

/// `BPF_JMP | BPF_CALL`
const CALL: u8 = 0x85;
/// `BPF_ALU64 | BPF_MOV | BPF_K`
const MOVE: u8 = 0xb7;
/// `BPF_LD | BPF_DW | BPF_IMM`, of two instructions with half of the value each.
const MOVE_WIDE: u8 = 0x18;

/// `BPF_PSEUDO_KFUNC_CALL` as source register.
const OF_KERNEL: u8 = 0x20;
/// `r0 = *(u64 *)(r1 + 0)`
const LOAD: [u8; INSTRUCTION] = [0x79, 0x10, 0, 0, 0, 0, 0, 0];
/// `r0 = r1`
const PASS_ON: [u8; INSTRUCTION] = [0xbf, 0x10, 0, 0, 0, 0, 0, 0];

/// Replaces all relocations in the code of an object. Bytes that are not an object stay as they are; loading them will report what is
/// wrong.
pub(super) fn fill(object: &mut [u8], facts: &KernelFacts, setup: &Setup, wide: &SetupWide) {
    let Ok(file) = object::File::parse(&*object) else { return };
    let is_code = |section: &object::Section<'_, '_>| section.kind() == object::SectionKind::Text;
    let ranges: Vec<_> = file.sections().filter(is_code).filter_map(|section| section.file_range()).collect();
    for (start, len) in ranges {
        if let Some(code) = object.get_mut(start as usize..(start + len) as usize) {
            fill_code(code, facts, setup, wide);
        }
    }
}

fn fill_code(code: &mut [u8], facts: &KernelFacts, setup: &Setup, wide: &SetupWide) {
    let mut at = 0;
    while let Some(instruction) = code.get_mut(at..at + INSTRUCTION) {
        at += INSTRUCTION;
        let operation = instruction[0];
        let Ok(immediate) = <[u8; 4]>::try_from(&instruction[IMMEDIATE]) else { return };
        let immediate = i32::from_le_bytes(immediate);
        if *instruction == relocation::EXCHANGE && setup.flags & setup_flags::EXCHANGE == 0 {
            instruction.copy_from_slice(&LOAD);
            continue;
        }
        match operation {
            CALL if instruction[1] == 0 && immediate == relocation::RDONLY_CAST_CALL => match facts.rdonly_cast {
                Some(function) => {
                    instruction[1] = OF_KERNEL;
                    instruction[IMMEDIATE].copy_from_slice(&function.to_le_bytes());
                }
                // A move, in code that the verifier finds dead.
                None => instruction.copy_from_slice(&PASS_ON),
            },
            MOVE => {
                let word = numbered(facts.offsets.as_bytes(), 4, immediate, relocation::OFFSETS)
                    .or_else(|| numbered(setup.as_bytes(), 4, immediate, relocation::SETUP));
                if let Some(word) = word {
                    instruction[IMMEDIATE].copy_from_slice(word);
                }
            }
            MOVE_WIDE => {
                let value = numbered(wide.as_bytes(), 8, immediate, relocation::SETUP_WIDE);
                if let (Some(value), Some(both)) = (value, code.get_mut(at - INSTRUCTION..at + INSTRUCTION)) {
                    both[IMMEDIATE].copy_from_slice(&value[..4]);
                    both[INSTRUCTION..][IMMEDIATE].copy_from_slice(&value[4..]);
                }
                at += INSTRUCTION;
            }
            _ => {}
        }
    }
}

/// The field of `size` bytes that the number in an instruction stands for; the first field has the number `first`.
fn numbered(fields: &[u8], size: usize, number: i32, first: i32) -> Option<&[u8]> {
    let number = usize::try_from(number.checked_sub(first)?).ok()?;
    fields.chunks_exact(size).nth(number)
}

const _: () = assert!(relocation::OFFSETS + (OFFSET_COUNT as i32) < relocation::SETUP);
const _: () = assert!(relocation::of_setup(size_of::<Setup>()) < relocation::SETUP_WIDE);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{attach::preemption::Preemption, host::KernelRelease};
    use leaktrace_common::Offsets;

    fn facts(rdonly_cast: Option<u32>) -> KernelFacts {
        KernelFacts {
            release: KernelRelease { text: "6.12".to_owned(), version: (6, 12) },
            preemption: Preemption::Voluntary,
            offsets: Offsets { skc_dport: 14, ..Offsets::default() },
            rdonly_cast,
            setup: Setup::default(),
            accept_parameters: 2,
            has_sock_graft: true,
            has_iterators: true,
        }
    }

    fn instruction(operation: u8, registers: u8, immediate: i32) -> Vec<u8> {
        [&[operation, registers, 0, 0][..], &immediate.to_le_bytes()].concat()
    }

    fn filled(code: Vec<u8>, rdonly_cast: Option<u32>) -> Vec<u8> {
        filled_with(code, rdonly_cast, 0)
    }

    fn filled_with(mut code: Vec<u8>, rdonly_cast: Option<u32>, flags: u32) -> Vec<u8> {
        let setup = Setup { tick_ns: 4_000_000, flags, ..Setup::default() };
        fill_code(&mut code, &facts(rdonly_cast), &setup, &SetupWide { seed: 0x1122_3344_5566_7788 });
        code
    }

    #[test]
    fn offsets_and_facts_become_immediate_values() {
        let offset = relocation::of_offset(std::mem::offset_of!(Offsets, skc_dport));
        let tick = relocation::of_setup(std::mem::offset_of!(Setup, tick_ns));
        let code = [instruction(MOVE, 3, offset), instruction(MOVE, 4, tick)].concat();
        assert_eq!(filled(code, None), [instruction(MOVE, 3, 14), instruction(MOVE, 4, 4_000_000)].concat());
    }

    #[test]
    fn a_wide_value_fills_both_halves() {
        let code = [instruction(MOVE_WIDE, 1, relocation::SETUP_WIDE), instruction(0, 0, 0)].concat();
        let halves = [instruction(MOVE_WIDE, 1, 0x5566_7788), instruction(0, 0, 0x1122_3344)].concat();
        assert_eq!(filled(code, None), halves);
    }

    #[test]
    fn a_cast_becomes_a_call_of_the_kernel_or_a_move() {
        let code = instruction(CALL, 0, relocation::RDONLY_CAST_CALL);
        assert_eq!(filled(code.clone(), Some(77)), instruction(CALL, OF_KERNEL, 77));
        assert_eq!(filled(code, None), PASS_ON);
    }

    #[test]
    fn an_exchange_stays_where_the_kernel_can_or_becomes_a_load() {
        let code = relocation::EXCHANGE.to_vec();
        assert_eq!(filled_with(code.clone(), None, setup_flags::EXCHANGE), code);
        assert_eq!(filled(code, None), LOAD);
    }

    #[test]
    fn other_instructions_and_what_is_cut_short_stay() {
        let offset = relocation::OFFSETS;
        let mut code = [
            instruction(MOVE, 3, 5),
            instruction(0x07, 3, offset),
            instruction(MOVE_WIDE, 1, 9),
            instruction(MOVE, 0, offset),
            instruction(MOVE, 3, offset - 1),
            instruction(MOVE_WIDE, 1, relocation::SETUP_WIDE),
        ]
        .concat();
        assert_eq!(filled(code.clone(), None), code);
        code.truncate(code.len() - 3);
        assert_eq!(filled(code.clone(), None), code);
    }

    #[test]
    fn what_is_no_object_is_left_alone() {
        let mut bytes = vec![MOVE; 64];
        fill(&mut bytes, &facts(Some(1)), &Setup::default(), &SetupWide::default());
        assert_eq!(bytes, [MOVE; 64]);
    }
}
