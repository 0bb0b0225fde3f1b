//! Files that hold anything: no panic, bounded memory, and everything before the damage is read.

use super::{Ending, Reader, block, open::OpenError};
use crate::{
    block::{BlockKind, HEADER_BYTES},
    head::Head,
    limits,
    synthetic::Scale,
    table::Step,
    tests::recording,
    wire::{Item, Place, RowKind, Stack},
};
use bytes::BytesMut;
use leaktrace_model::{Frame, Sample};
use proptest::prelude::*;
use std::path::Path;

/// How many samples are read, and how the recording ends; `None` if nothing can be read at all.
fn read(bytes: &[u8]) -> Option<(usize, Ending)> {
    let mut reader = Reader::new(bytes, Path::new("memory")).ok()?;
    let count = std::iter::from_fn(|| reader.next_sample()).count();
    assert!(reader.next_sample().is_none(), "more after the end");
    Some((count, reader.ending.unwrap()))
}

/// Where each sample ends.
fn ends(bytes: &[u8]) -> Vec<usize> {
    let (mut rest, mut buffer, mut ends) = (&bytes[HEADER_BYTES..], Vec::new(), Vec::new());
    while let Some(block) = block::read(&mut rest, &mut buffer).unwrap() {
        if block.kind == BlockKind::Sample {
            ends.push(bytes.len() - rest.len());
        }
    }
    ends
}

#[test]
fn a_recording_cut_at_any_byte_replays_up_to_the_cut() {
    let bytes = recording(Scale::SMALL, 12);
    let ends = ends(&bytes);
    assert_eq!(ends.len(), 12);
    let start = HEADER_BYTES + block_length(&bytes[HEADER_BYTES..]);
    for cut in 0..bytes.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        match read(&bytes[..cut]) {
            None => assert!(cut < start, "cut at {cut}: nothing is read"),
            Some((count, ending)) => {
                assert_eq!(count, whole, "cut at {cut}");
                let at_end = cut == start || ends.contains(&cut);
                assert_eq!(matches!(ending, Ending::Unfinished), at_end, "cut at {cut}: {ending:?}");
                assert!(!matches!(ending, Ending::Whole), "cut at {cut}");
            }
        }
    }
    assert!(matches!(read(&bytes), Some((12, Ending::Whole))));
}

fn block_length(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    block::read(&mut rest, &mut Vec::new()).unwrap();
    bytes.len() - rest.len()
}

#[test]
fn a_flipped_bit_anywhere_ends_the_replay_there() {
    let bytes = recording(Scale::SMALL, 4);
    let ends = ends(&bytes);
    for at in 0..bytes.len() {
        for bit in [0, 3, 7] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            let whole = ends.iter().filter(|end| **end <= at).count();
            if let Some((count, ending)) = read(&bytes) {
                assert_eq!(count, whole, "bit {bit} of byte {at}");
                assert!(matches!(ending, Ending::Damaged(_)), "bit {bit} of byte {at}: {ending:?}");
            }
        }
    }
}

#[test]
fn a_foreign_file_is_named_as_such() {
    for bytes in [&b""[..], b"{\"schema_version\":1}", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0\0", &[0; 4096]] {
        let error = Reader::new(bytes, Path::new("leak.json")).err().unwrap().to_string();
        assert_eq!(error, "leak.json is no recording; name a file that `leaktrace record` wrote");
    }
}

#[test]
fn a_recording_of_a_later_version_is_named_as_such() {
    let mut bytes = recording(Scale::SMALL, 1);
    bytes[8..12].copy_from_slice(&7_u32.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..12]);
    bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    let error = Reader::new(&bytes[..], Path::new("new.ltr")).err().unwrap();
    assert!(matches!(error, OpenError::Newer { version: 7, .. }));
    assert_eq!(
        error.to_string(),
        "new.ltr is a recording of version 7, and this leaktrace reads up to version 2: use a newer leaktrace"
    );
}

/// A valid recording, followed by blocks of these items, each with a right checksum.
fn with_items(blocks: &[Vec<Item>]) -> Vec<u8> {
    let whole = recording(Scale::SMALL, 2);
    let mut bytes = BytesMut::from(&whole[..ends(&whole)[1]]);
    for items in blocks {
        let body: Vec<u8> = items.iter().flat_map(|item| postcard::to_stdvec(item).unwrap()).collect();
        block::append(&mut bytes, BlockKind::Sample, &body).unwrap();
    }
    bytes.to_vec()
}

#[test]
fn more_rows_than_a_host_has_are_refused() {
    let double = || Item::Row(RowKind::Socket, Step::New(Vec::new()));
    let blocks = vec![vec![double(); 400_000], vec![double(); 400_000], vec![double(); 400_000]];
    let Some((count, Ending::Damaged(damage))) = read(&with_items(&blocks)) else { panic!("was accepted") };
    assert_eq!((count, damage.to_string().contains("no recorder writes")), (2, true), "{damage}");
}

/// A place with that many names, and a stack that goes through it as often as possible: 1024 times its names.
fn heavy(names: usize) -> (Item, Stack) {
    let frames = vec![Frame::default().into(); names];
    let place = Place { module: Some(0), offset: 1, name: None, is_leaf: false, frames };
    let whole = recording(Scale::SMALL, 2);
    let mut reader = Reader::new(&whole[..], Path::new("memory")).unwrap();
    let before: usize = std::iter::from_fn(|| reader.next_sample()).map(|recorded| recorded.names.len()).sum();
    let mut frames = vec![(1, Some(before as u32)); limits::FRAMES];
    frames[0].1 = None;
    (Item::Place(place), Stack { callsite: 1, quality: 0, reason: None, frames })
}

/// The end of a sample.
fn head() -> Item {
    Item::Head(Head::of(&Sample::default()))
}

#[test]
fn a_long_recording_of_ever_new_stacks_is_read_to_its_end() {
    let (place, stack) = heavy(limits::PLACE_FRAMES);
    let mut blocks = vec![vec![place, head()]];
    // More than a GiB in all, 27 MiB at a time.
    blocks.extend(vec![vec![Item::Stack(stack), head()]; 60]);
    let Some((count, ending)) = read(&with_items(&blocks)) else { panic!("not read") };
    assert!(matches!((count, &ending), (63, Ending::Unfinished)), "{count}: {ending:?}");
}

#[test]
fn more_stacks_in_use_than_a_host_has_are_refused() {
    let (place, stack) = heavy(limits::PLACE_FRAMES);
    let mut sites = Vec::new();
    let mut blocks = vec![vec![place, head()]];
    for callsite in 1..=60 {
        // Each sample has the call sites of those before, and one more.
        sites.push(Item::Row(RowKind::Callsite, Step::New(vec![(0, 1)])));
        let stack = Item::Stack(Stack { callsite, ..stack.clone() });
        blocks.push(sites.iter().cloned().chain([stack, head()]).collect());
    }
    let Some((count, Ending::Damaged(damage))) = read(&with_items(&blocks)) else { panic!("was accepted") };
    assert!((20..60).contains(&count) && damage.to_string().contains("1 GiB"), "{count}: {damage}");
}

#[test]
fn a_place_with_more_names_than_any_code_has_is_refused() {
    let (place, _) = heavy(limits::PLACE_FRAMES + 1);
    let Some((count, Ending::Damaged(damage))) = read(&with_items(&[vec![place, head()]])) else {
        panic!("was accepted")
    };
    assert_eq!((count, damage.to_string().contains("a place that no code has")), (2, true), "{damage}");
}

#[test]
fn a_place_is_not_counted_in_one_role_and_shown_in_another() {
    let (place, mut stack) = heavy(1);
    stack.frames[0] = stack.frames[1];
    let blocks = [vec![place, Item::Stack(stack), head()]];
    let Some((count, Ending::Damaged(damage))) = read(&with_items(&blocks)) else { panic!("was accepted") };
    assert_eq!((count, damage.to_string().contains("no stack has it")), (2, true), "{damage}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn anything_after_a_right_checksum_is_survived(bodies in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..400), 1..4,
    )) {
        let whole = recording(Scale::SMALL, 2);
        let mut bytes = BytesMut::from(&whole[..ends(&whole)[1]]);
        for body in &bodies {
            block::append(&mut bytes, BlockKind::Sample, body).unwrap();
        }
        let (count, _) = read(&bytes).unwrap();
        prop_assert!(count >= 2);
    }

    #[test]
    fn a_sample_that_was_changed_before_its_checksum_is_survived(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let whole = recording(Scale::SMALL, 3);
        let mut rest = &whole[HEADER_BYTES..];
        let mut bytes = BytesMut::from(&whole[..HEADER_BYTES]);
        let mut buffer = Vec::new();
        while let Some(block) = block::read(&mut rest, &mut buffer).unwrap() {
            let mut body = block.body.to_vec();
            if block.kind == BlockKind::Sample {
                for (index, value) in &changes {
                    *index.get_mut(&mut body) = *value;
                }
            }
            block::append(&mut bytes, block.kind, &body).unwrap();
        }
        read(&bytes);
    }

    #[test]
    fn any_file_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(read(&bytes).is_none());
        let mut after_header = block::header().to_vec();
        after_header.extend(bytes);
        read(&after_header);
    }
}
