//! `bench symbols`: naming 1,000 functions of four files, cold and from the cache, and placing a stack.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::example;
use super::options::Runs;
use super::tracer::Subject;
use crate::bpf_side::in_path;

/// What can be chosen.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    runs: Runs,
    /// Programs and libraries whose functions are named [default: leaktrace, this program, libc and bash]
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
}

/// Measures.
pub fn measure(subject: &Subject, options: &Options) -> Result<Value> {
    let files = if options.file.is_empty() { some_files(subject)? } else { options.file.clone() };
    let words: Vec<String> = files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
    let figures = example::measure("leaktrace-symbols", "bench_symbols", &words, options.runs.count())?;
    let show = |name: &str, what: &str, unit: &str| -> Result<()> {
        println!("{what:<36} {:.0} {unit}", figures.get(name)?.median()?);
        Ok(())
    };
    println!("files: {}", words.join(" "));
    show("frames", "functions", "")?;
    show("named", "of these with a name", "")?;
    show("cold_ms", "naming all, files opened before", "ms")?;
    show("cached_ns", "naming one again", "ns")?;
    show("placing_us", "placing a stack of ten frames", "µs")?;
    show("cache_kib", "caches say they take", "KiB")?;
    show("resident_kib", "resident memory grows by", "KiB")?;
    let mut result = figures.to_json()?;
    result["files"] = words.into();
    Ok(result)
}

/// Four that every machine with this project has.
fn some_files(subject: &Subject) -> Result<Vec<PathBuf>> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let libc = maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| path.contains("/libc.so"));
    let files: Vec<PathBuf> = [Some(subject.program.clone()), std::env::current_exe().ok(), libc.map(PathBuf::from)]
        .into_iter()
        .flatten()
        .chain(in_path("bash").next())
        .collect();
    ensure!(!files.is_empty(), "found no files to name functions of: name some with --file");
    Ok(files)
}
