//! Forged numbers: what [`check`] accepts, the tracker adds up and reports show, without a panic.

use super::*;
use crate::rows::{self, Now};
use leaktrace_model::{Holders, HostTotals, Lost, Moment, Pass, Shown, Sums, Verdicts};
use leaktrace_output::ReportFormat;
use leaktrace_track::{Tracker, TrackerOptions};
use proptest::prelude::*;

/// Numbers that overflow sums, and small ones, so that rows have keys in common.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..4_u64, 1 => any::<u64>(), 2 => Just(1 << 42), 2 => Just(1 << 32)]
}

fn cells<const N: usize>() -> impl Strategy<Value = [u64; N]> {
    proptest::collection::vec(number(), N).prop_map(|cells| {
        let mut array = [0; N];
        array.copy_from_slice(&cells);
        array
    })
}

/// A sample that no kernel gives.
fn forged() -> impl Strategy<Value = Sample> {
    (
        proptest::collection::vec(cells::<{ rows::SOCKET_CELLS }>(), 0..6),
        proptest::collection::vec(cells::<{ rows::CALLSITE_CELLS }>(), 0..4),
        proptest::collection::vec(cells::<{ rows::HOLDER_CELLS }>(), 0..4),
        proptest::collection::vec(cells::<{ rows::PROCESS_CELLS }>(), 0..4),
        cells::<24>(),
    )
        .prop_map(|(sockets, mut callsites, holders, processes, numbers)| {
            for cells in callsites.iter_mut().filter(|cells| cells[3] == 0) {
                // Sockets of unknown origin: the number of opened ones.
                cells[5] = cells[5].wrapping_neg();
            }
            let shown = if numbers[1] & 1 != 0 { Shown::All } else { Shown::With(Verdicts(numbers[1] as u32)) };
            let at = Moment { boot_ns: numbers[0], unix_ns: numbers[4].cast_signed() };
            let pass = Pass { now_ns: numbers[0], number: numbers[2] as u16, shown, ..Pass::default() };
            let now = Now::of(&at, &pass);
            let holders = Holders {
                rows: holders.iter().map(rows::to_holder).collect(),
                processes: processes.iter().map(rows::to_process).collect(),
                descriptors: numbers[3],
            };
            Sample {
                at,
                pass,
                totals: HostTotals {
                    sums: Sums { open: numbers[5], memory_bytes: numbers[6], ..Sums::default() },
                    orphan_memory_bytes: numbers[7],
                    unattributed: numbers[8],
                    ..HostTotals::default()
                },
                lost: Lost { samples: numbers[9], ..Lost::default() },
                sockets: sockets.iter().map(|cells| rows::to_socket(cells, now)).collect(),
                callsites: callsites.iter().map(|cells| rows::to_callsite(cells, now)).collect(),
                holders: (numbers[10] != 0).then_some(holders),
                tcp_memory_bytes: Some(numbers[11]),
                ..Sample::default()
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn forged_samples_are_tracked_and_reported_without_a_panic(samples in proptest::collection::vec(forged(), 1..16)) {
        let mut tracker = Tracker::new(TrackerOptions::default());
        for sample in samples.into_iter().filter(|sample| check(sample).is_ok()) {
            tracker.ingest(sample);
            tracker.unite_by_name(|stack| Some(stack.len() as u64));
        }
        let snapshot = tracker.snapshot();
        for format in ReportFormat::ALL {
            format.format().write(&snapshot, &mut std::io::sink()).unwrap();
        }
    }

}
