//! How a virtual machine ended and what it printed. Judges nothing.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Printed by the machine when its job begins, before the kernel's release.
pub const BEGIN: &str = "leaktrace-vm begins";
/// Printed by the machine when its job is done, before the exit status.
pub const END: &str = "leaktrace-vm ends";

/// Longest time of one machine. A boot takes seconds, the suite minutes: 23 on a slow host with 2 cores (1,374 s for 6.12,
/// two machines at once).
pub const TIME_LIMIT: Duration = Duration::from_secs(3600);

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The job's exit status.
    Finished(i32),
    /// The kernel or QEMU died before the job was done.
    Died,
    /// It did not end by itself.
    TimedOut,
    /// It could not be started, or its output could not be read to the end; with the reason.
    Lost(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished(status) => write!(f, "exit status {status}"),
            Self::Died => f.write_str("the machine died"),
            Self::TimedOut => write!(f, "not done after {} s", TIME_LIMIT.as_secs()),
            Self::Lost(why) => f.write_str(why),
        }
    }
}

/// What one kernel's machine did.
#[derive(Debug)]
pub struct Outcome {
    /// The kernel's name in the matrix.
    pub kernel: String,
    /// How it ended; of two boots, the second.
    pub end: End,
    /// All lines of the console.
    pub console: Vec<String>,
    /// Where the console is kept.
    pub log: PathBuf,
    /// How often the machine died while it booted and was booted again.
    pub boots_repeated: u32,
    /// From power on to power off.
    pub seconds: f64,
}

impl Outcome {
    /// What the job printed.
    pub fn output(&self) -> String {
        let job = self.console.iter().skip_while(|line| !line.contains(BEGIN)).skip(1);
        job.take_while(|line| !line.starts_with(END)).map(|line| format!("{line}\n")).collect()
    }

    /// Whether the machine came as far as its job.
    pub fn has_booted(&self) -> bool {
        self.console.iter().any(|line| line.contains(BEGIN))
    }
}
