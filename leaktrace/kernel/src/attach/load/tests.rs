//! The object has no loop that is closed by an instruction which is not a jump: 5.10 and 6.1 refuse such loops (`check_cfg`,
//! kernel/bpf/verifier.c). The compiler makes one now and then when it orders blocks, and this test finds it without booting those kernels.

use super::OBJECT;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};

/// Length of an instruction.
const BYTES: usize = 8;

const JUMP_CLASSES: [u8; 2] = [5, 6];
const EXIT: u8 = 0x95;
const CALL: u8 = 0x85;
const GOTO: u8 = 0x05;

/// The instructions that can follow an instruction, and whether that step may close a loop.
fn edges(code: &[u8], at: usize) -> Vec<(usize, bool)> {
    let instruction = &code[at * BYTES..][..BYTES];
    let opcode = instruction[0];
    let distance = i16::from_le_bytes([instruction[2], instruction[3]]);
    let target = (at + 1).wrapping_add_signed(distance.into());
    match opcode {
        EXIT => vec![],
        CALL => vec![(at + 1, false)],
        GOTO => vec![(target, true)],
        _ if JUMP_CLASSES.contains(&(opcode & 7)) => vec![(at + 1, true), (target, true)],
        _ => vec![(at + 1, false)],
    }
}

/// The steps in a function that close a loop and are refused. The order of the search is the kernel's.
fn refused(code: &[u8]) -> Vec<(usize, usize)> {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Seen {
        No,
        OnTheWay,
        Done,
    }
    let count = code.len() / BYTES;
    let (mut seen, mut next, mut way, mut found) = (vec![Seen::No; count], vec![0; count], vec![0], vec![]);
    while let Some(&at) = way.last() {
        seen[at] = Seen::OnTheWay;
        let Some(&(to, may_close)) = edges(code, at).get(next[at]) else {
            seen[at] = Seen::Done;
            way.pop();
            continue;
        };
        next[at] += 1;
        match seen.get(to) {
            Some(Seen::No) => way.push(to),
            Some(Seen::OnTheWay) if !may_close => found.push((at, to)),
            _ => {}
        }
    }
    found
}

#[test]
fn no_loop_is_closed_by_falling_through() {
    let Ok(object) = object::File::parse(OBJECT) else {
        assert!(OBJECT.is_empty(), "an object that cannot be read");
        return;
    };
    let mut functions = 0;
    for symbol in object.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0) {
        let Some(section) = symbol.section_index().and_then(|index| object.section_by_index(index).ok()) else {
            continue;
        };
        let code = section.data_range(symbol.address(), symbol.size()).unwrap().unwrap();
        assert_eq!(refused(code), [], "in {}", symbol.name().unwrap());
        functions += 1;
    }
    assert!(functions > 20, "{functions} functions only");
}

#[test]
fn such_a_loop_is_found_and_others_are_not() {
    // r0 = 0; r0 += 1; if r0 < 9 goto the addition; exit: a jump closes it.
    let mov = [0xB7, 0, 0, 0, 0, 0, 0, 0];
    let add = [0x07, 0, 0, 0, 1, 0, 0, 0];
    let jump_back = [0xA5, 0, 0xFE, 0xFF, 9, 0, 0, 0];
    let exit = [0x95, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(refused(&[mov, add, jump_back, exit].concat()), []);
    // goto the comparison; r0 += 1; if r0 < 9 goto the addition; exit: the addition falls into the comparison, and so closes it.
    let skip = [0x05, 0, 1, 0, 0, 0, 0, 0];
    assert_eq!(refused(&[skip, add, jump_back, exit].concat()), [(1, 2)]);
}
