//! Measures what naming the functions of the given files costs, and prints it as JSON. Run by `cargo xtask bench symbols`.

use anyhow::Context;
use leaktrace_model::{Location, Role};
use leaktrace_symbols::{DEFAULT_CACHE_BYTES, Locator, ProcessMaps, Symbolizer};
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Functions that are named, of all files together.
const FUNCTIONS: usize = 1000;

fn main() -> anyhow::Result<()> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    anyhow::ensure!(
        !files.is_empty(),
        "no files given: name the programs and libraries whose functions are to be named"
    );
    let locator = Locator::default();
    let mut places = Vec::new();
    for path in &files {
        let found = locator.sample_functions(path, FUNCTIONS / files.len());
        places.extend(found.with_context(|| format!("cannot read {}", path.display()))?);
    }
    let mut symbolizer = Symbolizer::new(locator.modules().clone(), locator.images().clone(), DEFAULT_CACHE_BYTES);
    let before = resident_bytes();
    let start = Instant::now();
    let named = symbolizer.resolve(&places).iter().flatten().filter(|frame| frame.symbol.is_some()).count();
    let cold = start.elapsed();
    let resident_bytes = resident_bytes() - before;
    let cached = naming_again(&mut symbolizer, &places);
    let line = serde_json::json!({
        "frames": places.len(),
        "named": named,
        "cold_ms": cold.as_secs_f64() * 1e3,
        "cached_ns": cached.as_secs_f64() * 1e9,
        "placing_us": placing()?.as_secs_f64() * 1e6,
        "cache_kib": symbolizer.bytes() / 1024,
        "resident_kib": resident_bytes / 1024,
    });
    println!("{line}");
    Ok(())
}

/// Time to name one location that is in the cache, on average.
fn naming_again(symbolizer: &mut Symbolizer, places: &[Location]) -> Duration {
    let rounds = 20;
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(symbolizer.resolve(places));
    }
    start.elapsed() / u32::try_from(rounds * places.len().max(1)).unwrap_or(u32::MAX)
}

/// Time to read the maps of this process and to place ten addresses in its files, on average. The first round opens the
/// files and is not counted.
fn placing() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/maps")?;
    let start_of = |line: &str| u64::from_str_radix(line.split('-').next()?, 16).ok();
    let code: Vec<u64> = text.lines().filter(|line| line.contains(" r-xp ")).filter_map(start_of).collect();
    let mut locator = Locator::default();
    let rounds = 100;
    let mut start = Instant::now();
    for round in 0..=rounds {
        let mut maps = ProcessMaps::read(std::process::id())?;
        for start in code.iter().cycle().take(10) {
            black_box(locator.locate(&mut maps, start + 64, Role::Return));
        }
        if round == 0 {
            start = Instant::now();
        }
    }
    Ok(start.elapsed() / rounds)
}

/// Memory of this process without mapped files, in bytes.
fn resident_bytes() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<i64>().ok());
    kib.unwrap_or_default() * 1024
}
