//! `cargo xtask vm`: kernels under QEMU without KVM, two at a time where the host is fast enough, each with the suite or a
//! command inside.

mod initramfs;
mod kernels;
mod machine;
mod mirror;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

pub use kernels::{Index, Kernel};
pub use machine::{End, Outcome};
pub use mirror::{Release, debian_release};

use crate::project;
use crate::setup::{self, Purpose};
use crate::test::Table;

/// How many machines run at once on a fast host. Each has two virtual CPUs; with one at a time the waits of the suite leave
/// the processor idle.
const SIDE_BY_SIDE: usize = 2;

/// A host that takes longer for the suite in one machine is slow: there is no idle time for a second one to use, and in two that
/// starve each other what takes seconds elsewhere takes minutes. Seen on a host with 2 cores: 570 s for one alone, 1,052 to 1,374 s
/// for each of two, with RCU stalls and a tracer that did not end within 120 s.
const SLOW: Duration = Duration::from_secs(300);

/// What is asked of `cargo xtask vm`.
pub struct Request {
    /// Images to boot; empty for the matrix.
    pub kernels: Vec<PathBuf>,
    /// Whether the package index is read anew.
    pub index: Index,
    /// What becomes of the console.
    pub console: Console,
    /// Files to take along, under their own paths.
    pub files: Vec<PathBuf>,
    /// What runs inside.
    pub job: Job,
}

/// What becomes of a machine's console.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// Every line is printed as it comes.
    Print,
    /// It is kept in a file and its end printed where something fails.
    KeepForFailures,
}

/// What a machine does once it is up.
pub enum Job {
    /// The end-to-end suite.
    Suite {
        /// Kinds of hook; empty for all.
        hooks: Vec<String>,
        /// Scenarios whose name contains one of these; empty for all.
        only: Vec<String>,
    },
    /// Any command line.
    Command(Vec<String>),
}

impl Job {
    fn words(&self) -> Vec<String> {
        match self {
            Self::Command(words) => words.clone(),
            Self::Suite { hooks, only } => {
                let mut words = vec!["suite".to_owned(), "--in-vm".to_owned()];
                if !hooks.is_empty() {
                    words.extend(["--hooks".to_owned(), hooks.join(",")]);
                }
                words.extend(only.iter().flat_map(|only| ["--only".to_owned(), only.clone()]));
                words
            }
        }
    }
}

/// Sets up, builds, boots, prints.
pub fn command(request: Request) -> Result<ExitCode> {
    setup::set_up(Purpose::Test)?;
    project::build_release(&["leaktrace", "leaktrace-tests"])?;
    let outcomes = boot_all(&request)?;
    if matches!(request.job, Job::Command(_)) {
        for outcome in &outcomes {
            if request.console == Console::KeepForFailures {
                println!("── {} ──\n{}", outcome.kernel, outcome.output());
            }
            println!("{}: {}", outcome.kernel, outcome.end);
        }
        let good = outcomes.iter().all(|outcome| outcome.end == End::Finished(0));
        return Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let mut table = Table::default();
    outcomes.into_iter().for_each(|outcome| table.add_machine(outcome));
    println!("{table}");
    Ok(table.exit_code())
}

/// Boots every kernel asked for; one outcome each, in the order of the matrix.
pub fn boot_all(request: &Request) -> Result<Vec<Outcome>> {
    let kernels = if request.kernels.is_empty() {
        kernels::matrix(request.index)?
    } else {
        request.kernels.iter().map(|image| Kernel::from_image(image)).collect::<Result<_>>()?
    };
    let folder = project::target().join("vm");
    let initramfs = initramfs::build(&folder, &request.job.words(), &request.files)?;
    let outcomes = Mutex::new(Vec::new());
    let boot = |place: usize, kernel: &Kernel| {
        let outcome = machine::boot_with_retry(kernel, &initramfs, &folder, request.console);
        if let Ok(mut outcomes) = outcomes.lock() {
            outcomes.push((place, outcome));
        }
    };
    let mut done = 0;
    let mut at_once = SIDE_BY_SIDE;
    if let ([first, _, ..], Job::Suite { .. }) = (kernels.as_slice(), &request.job) {
        let start = Instant::now();
        boot(0, first);
        done = 1;
        if start.elapsed() > SLOW {
            eprintln!("vm: this host is slow: the other machines run one by one");
            at_once = 1;
        }
    }
    let next = AtomicUsize::new(done);
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(kernels.len() - done) {
            scope.spawn(|| {
                while let Some((place, kernel)) = {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    kernels.get(place).map(|kernel| (place, kernel))
                } {
                    boot(place, kernel);
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    outcomes.sort_by_key(|(place, _)| *place);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}
