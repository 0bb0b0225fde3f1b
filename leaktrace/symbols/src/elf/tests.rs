//! The ELF reader on this test's own binary, and on damaged files.

use super::*;
use proptest::prelude::*;

fn own() -> Vec<u8> {
    std::fs::read("/proc/self/exe").unwrap()
}

/// A minimal file: header, two segments, four sections, a build id.
pub(crate) fn small() -> Vec<u8> {
    let mut file = vec![0; 64 + 2 * 56];
    file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0");
    let put = |file: &mut Vec<u8>, at: usize, value: u64, width: usize| {
        file[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    };
    let note_at = file.len() as u64;
    file.extend_from_slice(&[4, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0]);
    file.extend_from_slice(b"GNU\0\x01\x02\x03\x04\x05\x06\x07\x08");
    let names_at = file.len() as u64;
    let names = b"\0.text\0.note.gnu.build-id\0.shstrtab\0\0";
    file.extend_from_slice(names);
    let sections_at = file.len() as u64;
    put(&mut file, 32, 64, 8);
    put(&mut file, 40, sections_at, 8);
    put(&mut file, 54, 56, 2);
    put(&mut file, 56, 2, 2);
    put(&mut file, 58, 64, 2);
    put(&mut file, 60, 4, 2);
    put(&mut file, 62, 3, 2);
    for (index, (kind, flags, offset, vaddr, size)) in
        [(1, 5, 0, 0x1000, note_at), (4, 4, note_at, 0x2000, 24)].into_iter().enumerate()
    {
        let at = 64 + 56 * index;
        put(&mut file, at, kind, 4);
        put(&mut file, at + 4, flags, 4);
        put(&mut file, at + 8, offset, 8);
        put(&mut file, at + 16, vaddr, 8);
        put(&mut file, at + 32, size, 8);
        put(&mut file, at + 40, size, 8);
    }
    for (name, kind, addr, offset, size) in [
        (0, 0, 0, 0, 0),
        (1, 1, 0x1000, 0, note_at),
        (7, 7, 0x2000, note_at, 24),
        (26, 3, 0, names_at, names.len() as u64),
    ] {
        let at = file.len();
        file.resize(at + 64, 0);
        put(&mut file, at, name, 4);
        put(&mut file, at + 4, kind, 4);
        put(&mut file, at + 16, addr, 8);
        put(&mut file, at + 24, offset, 8);
        put(&mut file, at + 32, size, 8);
    }
    file
}

#[test]
fn a_small_file_is_read_whole() {
    let elf = Elf::read(&Bytes::of_memory(small())).unwrap();
    assert_eq!(elf.build_id, BuildId::from_hex("0102030405060708"));
    assert_eq!(elf.segments, [Segment { offset: 0, vaddr: 0x1000, filesz: 176, executable: true, writable: false }]);
    assert_eq!(elf.vaddr_of(16), Some(0x1010));
    assert_eq!(elf.offset_of(0x1010), Some(16));
    assert_eq!(elf.vaddr_of(4096), None);
    assert_eq!(elf.section_at(0x1001).map(|section| section.name.as_str()), Some(".text"));
}

#[test]
fn this_program_has_code_where_its_segments_have_it() {
    let elf = Elf::read(&Bytes::of_memory(own())).unwrap();
    let text = elf.section(".text").unwrap();
    assert_eq!(elf.vaddr_of(text.offset), Some(text.addr));
    assert_eq!(elf.offset_of(text.addr), Some(text.offset));
    assert!(elf.eh_frame_hdr.is_some());
}

#[test]
fn a_file_cut_short_anywhere_gives_an_error_or_fewer_sections() {
    let file = small();
    for len in 0..file.len() {
        if let Ok(elf) = Elf::read(&Bytes::of_memory(&file[..len])) {
            assert!(elf.sections.len() <= 4);
        }
    }
}

#[test]
fn no_byte_of_a_header_can_make_the_reader_panic() {
    let file = small();
    for at in 0..file.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = file.clone();
            damaged[at] = value;
            if let Some(next) = damaged.get_mut(at + 1) {
                *next = value;
            }
            let bytes = Bytes::of_memory(damaged);
            if let Ok(elf) = Elf::read(&bytes) {
                elf.vaddr_of(u64::MAX);
                elf.offset_of(u64::MAX);
                elf.section_at(u64::MAX);
                elf.debug_link(&bytes);
            }
        }
    }
}

#[test]
fn absurd_section_sizes_and_counts_cost_nothing() {
    let mut file = small();
    let names = file.len() - 64 + 32;
    file[names..names + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(Elf::read(&Bytes::of_memory(file.clone())).unwrap().sections.is_empty());
    file[60..62].copy_from_slice(&u16::MAX.to_le_bytes());
    assert!(Elf::read(&Bytes::of_memory(file.clone())).unwrap().sections.is_empty());
    file[56..58].copy_from_slice(&u16::MAX.to_le_bytes());
    assert_eq!(Elf::read(&Bytes::of_memory(file)), Err(ElfError::Damaged));
}

proptest! {
    #[test]
    fn any_bytes_after_the_magic_give_an_error_or_a_bounded_result(
        class in 1_u8..3,
        tail in proptest::collection::vec(any::<u8>(), 0..1024),
        tables in proptest::collection::vec((32_usize..64, any::<u16>()), 0..6),
    ) {
        let mut file = [b"\x7fELF", &[class, 1, 1][..], &tail].concat();
        // Small counts and offsets, so that they point into the file and not past its end.
        for (at, value) in tables {
            if let Some(field) = file.get_mut(at..at + 2) {
                field.copy_from_slice(&(value % 1200).to_le_bytes());
            }
        }
        let len = file.len();
        let bytes = Bytes::of_memory(file);
        if let Ok(elf) = Elf::read(&bytes) {
            // A header takes at least 32 bytes, so the file cannot hold more of them.
            prop_assert!(elf.sections.len() <= len / 32 && elf.segments.len() <= len / 32);
            for vaddr in [0, 0x1000, u64::MAX] {
                let _ = (elf.vaddr_of(vaddr), elf.offset_of(vaddr), elf.section_at(vaddr).is_some());
            }
            let _ = elf.debug_link(&bytes);
        }
    }
}
