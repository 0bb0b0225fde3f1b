//! Options that several figures share, and the crowds of sockets that they are measured with.

use std::time::Duration;

/// For figures of memory.
pub const MIB: f64 = (1 << 20) as f64;

/// Runs beside each other.
#[derive(clap::Args)]
pub struct Pairs {
    /// Runs beside each other, for each comparison
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub pairs: u16,
    /// Seconds of one run
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub seconds: u16,
}

impl Pairs {
    /// How many runs beside each other.
    pub fn count(&self) -> usize {
        self.pairs.into()
    }

    /// How long one run is.
    pub fn span(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

/// Repetitions.
#[derive(clap::Args)]
pub struct Runs {
    /// How often each is measured
    #[arg(long, visible_alias = "pairs", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub runs: u16,
}

impl Runs {
    /// How many repetitions.
    pub fn count(&self) -> usize {
        self.runs.into()
    }
}

/// How many sockets are open.
#[derive(clap::Args)]
pub struct Sizes {
    /// Open sockets, one size after the other
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "10000,100000,200000")]
    #[arg(value_parser = clap::value_parser!(u64).range(2..=2_000_000))]
    pub sizes: Vec<u64>,
    /// Also 1,000,000, which take gigabytes of kernel memory and minutes to open
    #[arg(long)]
    pub large: bool,
}

impl Sizes {
    /// Each size, in the order given.
    pub fn each(&self) -> impl Iterator<Item = u64> {
        self.sizes.iter().copied().chain(self.large.then_some(1_000_000))
    }
}

/// How leaktrace judges a crowd of sockets that do nothing.
pub struct Mood {
    /// Its name in the output.
    pub name: &'static str,
    /// Options of leaktrace for it.
    pub options: &'static [&'static str],
}

/// As on a healthy host, where a pass writes nothing; and the worst, where it writes a row for every socket.
pub const MOODS: [Mood; 2] = [
    Mood { name: "none flagged", options: &["--threshold", "1d", "--idle", "1d"] },
    Mood { name: "all flagged", options: &["--threshold", "1ms"] },
];
