//! The machine a figure was measured on: without it the figure says nothing.

use std::fmt;
use std::fs;
use std::thread;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Kernel, processor, and how busy it was before the first run.
pub struct Host {
    kernel: String,
    cpu: String,
    cores: usize,
    /// Of the last minute, as in `/proc/loadavg`.
    pub load_average: f64,
}

impl Host {
    /// Reads `/proc`.
    pub fn read() -> Result<Self> {
        let kernel = read("/proc/sys/kernel/osrelease")?.trim().to_owned();
        let cpus = read("/proc/cpuinfo")?;
        // Not every architecture names its processor there.
        let name = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let cpu = name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned());
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { kernel, cpu, cores, load_average: load_average()? })
    }

    /// As in the JSON of every benchmark.
    pub fn to_json(&self) -> Value {
        json!({ "kernel": self.kernel, "cpu": self.cpu, "cores": self.cores, "load_average_before": self.load_average })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Linux {}, {}, {} cores", self.kernel, self.cpu, self.cores)
    }
}

/// Runnable tasks, averaged over the last minute.
pub fn load_average() -> Result<f64> {
    let line = read("/proc/loadavg")?;
    line.split_whitespace().next().and_then(|word| word.parse().ok()).context("/proc/loadavg begins with no number")
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}
