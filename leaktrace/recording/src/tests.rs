//! What is recorded is what is read.

use super::{
    Ending, Progress, Reader, Recorder, Start, VERSION, WriteError,
    synthetic::{self, Host, OwnNames, Scale, VERSION_1},
    write::Sink,
};
use leaktrace_model::{Degradation, ProcessFacts, Sample, StackReason};
use std::path::Path;

/// A recording of that many samples of the made-up host.
pub(crate) fn recording(scale: Scale, samples: u32) -> Vec<u8> {
    synthetic::recording(scale, samples).unwrap()
}

/// Every sample of a recording that is whole.
fn samples(bytes: &[u8]) -> Vec<Sample> {
    let mut reader = Reader::new(bytes, Path::new("memory")).unwrap();
    let samples = std::iter::from_fn(|| reader.next_sample()).map(|recorded| recorded.sample).collect();
    assert!(matches!(reader.ending(), Some(Ending::Whole)), "{:?}", reader.ending());
    samples
}

/// The samples of the made-up host as a recording gives them: what is known of a process is written once.
fn written(scale: Scale, count: usize) -> Vec<Sample> {
    let mut host = Host::new(scale);
    let mut known: Vec<ProcessFacts> = Vec::new();
    let mut samples: Vec<Sample> = std::iter::repeat_with(|| host.sample()).take(count).collect();
    for sample in &mut samples {
        sample.processes.retain(|facts| !known.contains(facts));
        known.extend(sample.processes.iter().cloned());
    }
    samples
}

fn assert_same(found: &[Sample], right: &[Sample]) {
    assert_eq!(found.len(), right.len());
    for (number, (found, right)) in found.iter().zip(right).enumerate() {
        assert_eq!(format!("{found:?}"), format!("{right:?}"), "sample {number}");
    }
}

#[test]
fn what_is_written_comes_back_sample_by_sample() {
    assert_same(&samples(&recording(Scale::SMALL, 40)), &written(Scale::SMALL, 40));
}

#[test]
fn words_of_reasons_and_degradations_come_back_as_they_were() {
    let mut recorder = Recorder::new(Vec::new(), Path::new("memory"), &Start::default(), Progress::default()).unwrap();
    let mut sample = Host::new(Scale::SMALL).sample();
    let one_in = 1000.try_into().unwrap();
    sample.stacks[0].reason = Some(StackReason::NotSampled { one_in });
    sample.stacks[1].reason = Some(StackReason::Exited);
    sample.degraded = vec![Degradation::TreeFull { most: 7 }, Degradation::FiltersIncomplete];
    recorder.write(&sample, &mut OwnNames).unwrap();
    let read = samples(&recorder.finish().unwrap()).remove(0);
    let words = |sample: &Sample| -> Vec<_> {
        sample.degraded.iter().map(|one| (one.feature().into_owned(), one.reason().into_owned())).collect()
    };
    assert_eq!(words(&read), words(&sample));
    for (found, right) in read.stacks.iter().zip(&sample.stacks).take(2) {
        let (found, right) = (found.reason.as_ref().unwrap(), right.reason.as_ref().unwrap());
        assert_eq!(found.to_string(), right.to_string());
        assert_eq!(found.is_not_sampled(), right.is_not_sampled());
    }
}

#[test]
fn a_recorder_without_room_keeps_what_it_has() {
    struct Disk(Vec<u8>, usize);
    impl std::io::Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let room = self.1 - self.0.len();
            if room == 0 {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
            Ok(bytes.len().min(room))
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl Sink for &mut Disk {
        fn cut(&mut self, length: u64) {
            self.0.truncate(length as usize);
        }

        fn settle(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let room = recording(Scale::SMALL, 20).len();
    let mut disk = Disk(Vec::new(), room);
    let mut recorder = Recorder::new(&mut disk, Path::new("disk"), &Start::default(), Progress::default()).unwrap();
    let (mut host, mut written) = (Host::new(Scale::SMALL), 0);
    let error = loop {
        match recorder.write(&host.sample(), &mut OwnNames) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error.samples(), error.to_string().as_str()), (Some(written), "disk: no space is left"));
    assert!(matches!(error, WriteError::Full { .. }));
    drop(recorder);
    let mut reader = Reader::new(&disk.0[..], Path::new("disk")).unwrap();
    let read = std::iter::from_fn(|| reader.next_sample()).count() as u64;
    assert_eq!(read, written);
    assert!(matches!(reader.ending(), Some(Ending::Unfinished)));
}

#[test]
fn an_idle_socket_takes_no_room() {
    let still = Scale { moving: 0, replaced: 0, holders_every: 1000, ..Scale::SMALL };
    let many = Scale { sockets: 2000, ..still };
    let each = |scale| recording(scale, 130).len() - recording(scale, 125).len();
    assert!(each(many) < each(still) + 200, "{} bytes for 2000, {} for 12", each(many), each(still));
}

#[test]
fn a_recording_of_version_1_still_reads() {
    assert_same(&samples(VERSION_1), &written(Scale::SMALL, 70));
}

/// Writes the fixture: `cargo test -p leaktrace-recording write_the_fixture -- --ignored`. Only for a new version of the format.
#[test]
#[ignore = "writes into the source tree"]
fn write_the_fixture() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/fixtures/version{}.ltr", VERSION));
    assert!(!path.exists(), "{} is there already: what was written once stays as it is", path.display());
    std::fs::write(path, recording(Scale::SMALL, 70)).unwrap();
}
