//! What naming frames costs: figures for the benchmark, no judgement.

use super::image::{Image, ImageError};
use super::process::{Locator, ProcessMaps};
use super::symbolizer::{DEFAULT_CACHE_BYTES, Symbolizer};
use super::{open, unwind::Table};
use leaktrace_model::{Location, Module, ModuleKind, Role};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// A file could not be used.
#[derive(Debug, Error)]
#[error("cannot read {}: {source}", path.display())]
pub struct BenchError {
    path: PathBuf,
    source: ImageError,
}

/// Measured times.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Locations that were named.
    pub frames: usize,
    /// Of those, how many got a function's name.
    pub named: usize,
    /// Naming all of them for the first time, files opened before.
    pub cold: Duration,
    /// Naming one of them again, on average.
    pub cached: Duration,
    /// Reading the maps of this process and placing ten addresses in its files, the files known.
    pub placing: Duration,
    /// What the caches say they take afterwards, in bytes.
    pub cache_bytes: usize,
    /// What the process takes more than before, in bytes, mapped files not counted.
    pub resident_bytes: i64,
}

/// Names `count` functions spread evenly over the files, cold and then from the cache.
///
/// # Errors
/// When a file cannot be read.
pub fn measure(files: &[PathBuf], count: usize) -> Result<Figures, BenchError> {
    let locator = Locator::default();
    let mut places = Vec::new();
    for path in files {
        let found = functions(&locator, path, count / files.len().max(1));
        places.extend(found.map_err(|source| BenchError { path: path.clone(), source })?);
    }
    let mut symbolizer = Symbolizer::new(locator.modules().clone(), locator.images().clone(), DEFAULT_CACHE_BYTES);
    let before = resident_bytes();
    let start = Instant::now();
    let named = symbolizer.resolve(&places).iter().flatten().filter(|frame| frame.symbol.is_some()).count();
    let cold = start.elapsed();
    let resident_bytes = resident_bytes() - before;
    let rounds = 20;
    let start = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(symbolizer.resolve(&places));
    }
    let cached = start.elapsed() / u32::try_from(rounds * places.len().max(1)).unwrap_or(u32::MAX);
    let placing = placing();
    Ok(Figures { frames: places.len(), named, cold, cached, placing, cache_bytes: symbolizer.bytes(), resident_bytes })
}

fn placing() -> Duration {
    let mut locator = Locator::default();
    let rounds = 100;
    let mut start = Instant::now();
    for round in 0..=rounds {
        let Ok(mut maps) = ProcessMaps::read(std::process::id()) else { return Duration::ZERO };
        let starts: Vec<u64> = maps.mappings().as_slice().iter().map(|mapping| mapping.start + 64).collect();
        for address in starts.iter().cycle().take(10) {
            std::hint::black_box(locator.locate(&mut maps, *address, Role::Return));
        }
        if round == 0 {
            start = Instant::now();
        }
    }
    start.elapsed() / rounds
}

/// Places in a file where functions start.
fn functions(locator: &Locator, path: &Path, count: usize) -> Result<Vec<Location>, ImageError> {
    let mut image = Image::new(open::regular(path)?)?;
    image.find_debug(None, &path.to_string_lossy());
    let mut addresses = Vec::new();
    if let Some(go) = image.go() {
        addresses = go.sample(&image.bytes, count);
    } else if let Some(table) = Table::read(&image) {
        table.sample(count, |mut rows| {
            if let Ok(Some(row)) = rows.next_row() {
                addresses.push(row.start_address());
            }
        });
    }
    let identity = image.identity();
    let module = Module {
        path: path.to_string_lossy().into_owned(),
        kind: ModuleKind::File,
        device: identity.device,
        inode: identity.inode,
        size: identity.size,
        modified_ns: identity.modified_ns,
        build_id: image.elf.build_id.clone(),
    };
    let place = |vaddr: &u64| {
        // As a return address, which lies behind the call it belongs to.
        let offset = image.elf.offset_of(*vaddr)?.checked_add(1)?;
        Some((*vaddr, offset))
    };
    let offsets: Vec<_> = addresses.iter().filter_map(place).collect();
    let content = image.content();
    locator.images().keep(content, image);
    let id = locator.modules().intern(module);
    let locations = offsets.into_iter().map(|(address, offset)| Location { address, module: id, offset, name: None });
    Ok(locations.collect())
}

/// Memory of this process that is not of files, in bytes.
fn resident_bytes() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<i64>().ok());
    kib.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_asked_for_is_named() {
        let own = std::env::current_exe().unwrap();
        let figures = measure(&[own], 20).unwrap();
        assert!(figures.frames >= 15 && figures.named >= figures.frames / 2, "{figures:?}");
    }
}
