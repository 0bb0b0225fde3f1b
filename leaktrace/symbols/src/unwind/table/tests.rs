//! Hostile tables that would take long to read.

use super::*;

/// A section with generated entries. Each function has sixteen bytes of code.
#[derive(Default)]
struct Made {
    bytes: Vec<u8>,
    functions: u64,
}

impl Made {
    fn entry(&mut self, content: &[u8]) -> usize {
        let at = self.bytes.len();
        self.bytes.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        self.bytes.extend(content);
        at
    }

    /// Adds a shared entry: version 1, alignments 1 and -8, return address 16, absolute pointers. Returns its offset.
    fn cie(&mut self, augmentation: &str) -> usize {
        let head = [0, 0, 0, 0, 1];
        self.entry(&[&head, augmentation.as_bytes(), &[0, 1, 0x78, 16, 1, 0]].concat())
    }

    /// Adds a function. Returns its start address and the offset of its entry.
    fn fde(&mut self, cie: usize, instructions: &[u8]) -> (u64, usize) {
        let start = 0x1000 + self.functions * 16;
        self.functions += 1;
        let back = u32::try_from(self.bytes.len() + 4 - cie).unwrap().to_le_bytes();
        let content = [&back, &start.to_le_bytes()[..], &16_u64.to_le_bytes(), &[0], instructions].concat();
        (start, self.entry(&content))
    }

    fn table(self) -> Table {
        let mut table = Table { sections: Vec::new(), bases: BaseAddresses::default(), address_size: 8 };
        table.add_eh_frame(self.bytes, None);
        table
    }
}

/// `DW_CFA_advance_loc` by zero: each one adds a row.
fn rows(count: usize) -> Vec<u8> {
    vec![0x40; count]
}

#[test]
fn a_shared_entry_of_absurd_length_is_not_read_for_each_function() {
    let mut made = Made::default();
    let short = made.cie("zR");
    let long = made.cie(&format!("zR{}", "S".repeat(1 << 20)));
    let good = made.fde(short, &[]);
    let bad = made.fde(long, &[]);
    let mut table = made.table();
    assert_eq!(table.sections[0].kind.index(), [good]);
    // The linker's index may point to any entry.
    table.sections[0].kind = Kind::EhFrame(vec![good, bad]);
    assert!(table.fde(good.0).is_some() && table.fde(bad.0).is_none());
}

#[test]
fn a_function_with_too_many_instructions_is_not_read() {
    let mut made = Made::default();
    let cie = made.cie("zR");
    let (good, bad) = (made.fde(cie, &rows(MAX_FDE / 2)), made.fde(cie, &rows(MAX_FDE)));
    let table = made.table();
    let mut context = UnwindContext::new();
    assert!(table.entry(good.0, &mut context).is_some());
    assert!(table.entry(bad.0, &mut context).is_none());
}

#[test]
fn a_sample_follows_no_more_than_its_share_of_instructions() {
    let mut made = Made::default();
    let cie = made.cie("zR");
    for function in 0..100 {
        made.fde(cie, &rows(if function % 2 == 0 { 1 } else { MAX_FDE / 2 }));
    }
    let (mut functions, mut seen) = (0, 0);
    made.table().sample(100, |mut rows| {
        functions += 1;
        while let Ok(Some(_)) = rows.next_row() {
            seen += 1;
        }
    });
    assert!((50..60).contains(&functions), "the short ones are all there: {functions}");
    assert!(seen <= 100 * SAMPLED_BYTES, "{seen}");
}
