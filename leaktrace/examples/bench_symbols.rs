//! Prints what naming frames of the given files costs. Run by `cargo xtask bench symbols`.

use leaktrace::symbols::bench::measure;
use std::path::PathBuf;

fn main() -> anyhow::Result<()> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    anyhow::ensure!(
        !files.is_empty(),
        "no files given: name the programs and libraries whose functions are to be named"
    );
    let figures = measure(&files, 1000)?;
    println!("frames                 {:>10}", figures.frames);
    println!("with a name            {:>10}", figures.named);
    println!("cold, all of them      {:>10.2} ms", figures.cold.as_secs_f64() * 1e3);
    println!("cached, each           {:>10.0} ns", figures.cached.as_secs_f64() * 1e9);
    println!("placing a stack        {:>10.1} us", figures.placing.as_secs_f64() * 1e6);
    println!("caches say             {:>10} KiB", figures.cache_bytes / 1024);
    println!("memory grew            {:>10} KiB", figures.resident_bytes / 1024);
    Ok(())
}
