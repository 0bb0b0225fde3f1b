//! Claims about [`pprof`](super): sums, labels, inlined frames.

use super::*;
use leaktrace_model::fixtures;
use std::io::Read;

fn profile(snapshot: &Snapshot) -> Profile {
    let mut out = Vec::new();
    Pprof.write(snapshot, &mut out).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&out[..]).read_to_end(&mut bytes).unwrap();
    Profile::decode(&bytes[..]).unwrap()
}

fn sum(profile: &Profile, index: usize) -> i64 {
    profile.sample.iter().map(|sample| sample.value[index]).sum()
}

#[test]
fn the_sums_are_those_of_the_call_sites() {
    let snapshot = fixtures::rich();
    let profile = profile(&snapshot);
    // One listed socket has no call site at all and adds itself.
    assert_eq!(sum(&profile, 0), 1_269 + 1);
    assert_eq!(sum(&profile, 1), 133 + 1);
    assert_eq!(sum(&profile, 2), (3 * 723 + 90_000) * 1_000_000_000);
    assert_eq!(sum(&profile, 3), 4_194_304);
}

#[test]
fn samples_carry_pid_comm_verdict_and_peer() {
    let profile = profile(&fixtures::rich());
    let text = |index: i64| profile.string_table[index as usize].as_str();
    let label = |key: &'static str| {
        profile.sample.iter().flat_map(|sample| &sample.label).filter(move |label| text(label.key) == key)
    };
    assert!(label("pid").any(|label| label.num == 12));
    assert!(label("comm").any(|label| text(label.str) == "api"));
    assert!(label("verdict").any(|label| text(label.str) == "never-read"));
    assert!(label("peer").any(|label| text(label.str) == "10.0.0.1:443"));
    assert!(label("peer").any(|label| text(label.str) == "[2001:db8::1]"));
}

#[test]
fn an_inlined_function_shares_the_location_of_its_caller() {
    let profile = profile(&fixtures::rich());
    let inlined: Vec<_> = profile.location.iter().filter(|location| location.line.len() == 2).collect();
    assert_eq!(inlined.len(), 1);
    let name = |line: &Line| &profile.string_table[profile.function[line.function_id as usize - 1].name as usize];
    assert_eq!(name(&inlined[0].line[0]), "api::upstream::open");
    assert_eq!(name(&inlined[0].line[1]), "api::upstream::fetch_user");
}

#[test]
fn every_reference_inside_a_profile_leads_somewhere() {
    for snapshot in [fixtures::empty(), fixtures::rich(), fixtures::hostile()] {
        let profile = profile(&snapshot);
        assert_eq!(profile.string_table[0], "");
        let known = |index: i64| (index as usize) < profile.string_table.len();
        for sample in &profile.sample {
            assert_eq!(sample.value.len(), profile.sample_type.len());
            assert!(!sample.location_id.is_empty());
            assert!(sample.location_id.iter().all(|id| profile.location.iter().any(|location| location.id == *id)));
            assert!(sample.label.iter().all(|label| known(label.key) && known(label.str)));
        }
        for location in &profile.location {
            assert!(location.mapping_id <= profile.mapping.len() as u64);
            assert!(location.line.iter().all(|line| (1..=profile.function.len() as u64).contains(&line.function_id)));
        }
    }
}
