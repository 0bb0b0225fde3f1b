//! Prints what naming frames of the given files costs, as JSON. Run by `cargo xtask bench symbols`.

use leaktrace_symbols::bench::measure;
use std::path::PathBuf;

fn main() -> anyhow::Result<()> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    anyhow::ensure!(
        !files.is_empty(),
        "no files given: name the programs and libraries whose functions are to be named"
    );
    let figures = measure(&files, 1000)?;
    let line = serde_json::json!({
        "frames": figures.frames,
        "named": figures.named,
        "cold_ms": figures.cold.as_secs_f64() * 1e3,
        "cached_ns": figures.cached.as_secs_f64() * 1e9,
        "placing_us": figures.placing.as_secs_f64() * 1e6,
        "cache_kib": figures.cache_bytes / 1024,
        "resident_kib": figures.resident_bytes / 1024,
    });
    println!("{line}");
    Ok(())
}
