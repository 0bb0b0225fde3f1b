//! The checked configuration, from the command line, the environment and the config file. Code that uses it does not
//! see how a setting was given.

mod budget;
mod file;

pub(crate) use budget::CpuBudget;
pub(crate) use file::ConfigFile;

use leaktrace_kernel::{HookChoice, Stacks};
use leaktrace_model::{Filter, Limits, Settings, Unwind};

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

/// What all commands that watch sockets share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WatchConfig {
    /// The thresholds of verdicts.
    pub limits: Limits,
    /// Time between samples.
    pub interval: Duration,
    /// How much of a core sampling may take.
    pub cpu_budget: CpuBudget,
    /// Which sockets are watched.
    pub filter: Filter,
    /// The ignore list: what is left out on purpose.
    pub ignore: Vec<Filter>,
    /// Which kind of hook to use.
    pub hooks: HookChoice,
    /// Whether and how stacks are captured.
    pub stacks: Stacks,
    /// Which unwinder finds the callers.
    pub unwind: Unwind,
    /// Memory for symbols, in bytes.
    pub symbol_cache: usize,
    /// How many sockets are attributed at once.
    pub max_sockets: u32,
    /// One pass in this many walks the kernel's own tables; `None` decides by the cost of a walk.
    pub walk_every: Option<NonZeroU32>,
    /// A recording to read in place of the kernel.
    pub replay: Option<ReplayConfig>,
    /// The process whose tree alone is followed; `None` for the whole host.
    pub tree: Option<u32>,
}

/// A recording that is read in place of the kernel.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ReplayConfig {
    /// The file.
    pub path: PathBuf,
    /// Replaces the threshold of the recording.
    pub threshold: Option<Duration>,
    /// Replaces how long a stuck state must last.
    pub stall: Option<Duration>,
    /// Replaces how long without payload counts as idle.
    pub idle: Option<Duration>,
}

impl WatchConfig {
    /// The thresholds and filters as reports show them.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            limits: self.limits,
            interval: self.interval,
            stack_sample: match self.stacks {
                Stacks::Sample(sample) => Some(sample),
                Stacks::Capture | Stacks::Off => None,
            },
            filter: self.filter.clone(),
        }
    }
}
