//! What a recording takes: `cargo run --release -p leaktrace-recording --features synthetic --example recording_size [-- SAMPLES [FILE]]`.
//!
//! An hour (3600 samples) of a made-up host with 10,000 sockets, of which one in twenty moves each second. Prints figures,
//! judges nothing; leaves the recording in FILE.

use leaktrace_model::{HookKind, Host as HostFacts, Limits, Settings};
use leaktrace_recording::{
    Progress, Reader, Recorder, Start,
    synthetic::{Host, OwnNames, Scale},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

fn main() -> anyhow::Result<()> {
    let samples: u64 = std::env::args().nth(1).map_or(Ok(3600), |word| word.parse())?;
    let [threshold, stall, idle, interval] = [60, 10, 60, 1].map(Duration::from_secs);
    let settings = Settings { limits: Limits { threshold, stall, idle }, interval, ..Settings::default() };
    let start = Start::new(&HostFacts::default(), HookKind::Tracepoint, &settings, &[], Host::started());
    let progress = Progress::default();
    let mut recorder = Recorder::new(Vec::new(), Path::new("memory"), &start, progress.clone())?;
    let mut host = Host::new(Scale::SERVER);
    let (mut writing, mut first) = (Duration::ZERO, 0);
    for number in 0..samples {
        let sample = host.sample();
        let began = Instant::now();
        recorder.write(&sample, &mut OwnNames)?;
        writing += began.elapsed();
        if number == 0 {
            first = progress.bytes();
        }
    }
    let bytes = recorder.finish()?;
    if let Some(path) = std::env::args().nth(2) {
        std::fs::write(path, &bytes)?;
    }
    let mut reader = Reader::new(&bytes[..], Path::new("memory"))?;
    let began = Instant::now();
    let mut read = 0;
    while reader.next_sample().is_some() {
        read += 1;
    }
    println!("{samples} samples, {} bytes; the first {first}, each other {}", bytes.len(), {
        (bytes.len() as u64 - first) / samples.saturating_sub(1).max(1)
    });
    println!("writing took {:.2} ms a sample", writing.as_secs_f64() * 1e3 / samples as f64);
    println!("reading {read} took {:.2} ms a sample", began.elapsed().as_secs_f64() * 1e3 / f64::from(read));
    Ok(())
}
