//! What leaktrace was told to do, checked: from the command line, the environment and the config file. Nothing behind
//! this module sees how it was typed.

mod budget;
mod file;

pub use budget::CpuBudget;
pub use file::ConfigFile;

use leaktrace_kernel::{HookChoice, Stacks};
use leaktrace_model::{Filter, Limits, Settings, Unwind};

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

/// Everything that commands which watch sockets have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchConfig {
    /// The thresholds of verdicts.
    pub limits: Limits,
    /// Time between samples.
    pub interval: Duration,
    /// How much of a core sampling may take.
    pub cpu_budget: CpuBudget,
    /// What is looked at.
    pub filter: Filter,
    /// What is left out on purpose.
    pub ignore: Vec<Filter>,
    /// Which hooks.
    pub hooks: HookChoice,
    /// Stack capture.
    pub stacks: Stacks,
    /// Which unwinder.
    pub unwind: Unwind,
    /// Memory for symbols, bytes.
    pub symbol_cache: usize,
    /// How many sockets are attributed at once.
    pub max_sockets: u32,
    /// One pass in so many walks the kernel's own tables; `None` decides by what that costs.
    pub walk_every: Option<NonZeroU32>,
    /// A recording to read in place of the kernel.
    pub replay: Option<ReplayConfig>,
    /// The process whose tree is followed, and nothing else; `None` for the whole host.
    pub tree: Option<u32>,
}

/// A recording that is read in place of the kernel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplayConfig {
    /// The file.
    pub path: PathBuf,
    /// The threshold, if it is not to be that of the recording.
    pub threshold: Option<Duration>,
    /// The same for how long a stuck state must last.
    pub stall: Option<Duration>,
    /// The same for what counts as idle.
    pub idle: Option<Duration>,
}

impl WatchConfig {
    /// The thresholds and filters as reports show them.
    pub fn settings(&self) -> Settings {
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
