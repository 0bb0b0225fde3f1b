//! `cargo xtask vm`: kernels under QEMU without KVM, two at a time where the host is fast enough, each with the suite or a
//! command inside.

mod initramfs;
pub mod kernels;
mod machine;
pub mod mirror;
pub mod outcome;
pub mod request;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::progress::Progress;
use crate::project;
use crate::results::table::Table;
use crate::setup::{self, Purpose};
use kernels::{Index, Kernel};
use outcome::{End, Outcome};
use request::{Column, Console, Job, Request};

/// How many machines run at once on a fast host. Each has two virtual CPUs. One machine alone leaves the processor idle while its
/// suite waits.
const SIDE_BY_SIDE: usize = 2;

/// A host that takes longer than this for the full suite in one machine runs its machines one by one: two of them would starve
/// each other. Measured on a host with 2 cores: 570 s for one alone, 1,052 to 1,374 s for each of two, with RCU stalls and a tracer
/// that did not end within 120 s.
const SLOW: Duration = Duration::from_secs(300);

/// The same for the short column.
const SLOW_SHORT: Duration = Duration::from_secs(90);

/// Sets up, builds, boots, prints.
pub fn command(request: Request) -> Result<ExitCode> {
    setup::set_up(Purpose::Test)?;
    project::build_release(&["leaktrace", "leaktrace-tests"])?;
    let kernels = kernels_of(&request)?;
    let outcomes = boot_all(&request, &kernels, &Progress::new(kernels.len() * request.job.parts()))?;
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

/// The kernels that are asked for: the images given, else those of the matrix.
pub fn kernels_of(request: &Request) -> Result<Vec<Kernel>> {
    match request.kernels.is_empty() {
        true => kernels::matrix(request.index),
        false => request.kernels.iter().map(|image| Kernel::from_image(image)).collect(),
    }
}

/// The oldest, the middle and the newest kernel of the matrix.
pub fn short_matrix() -> Result<Vec<Kernel>> {
    let mut kernels = kernels::matrix(Index::Cached)?;
    let kept = [0, kernels.len() / 2, kernels.len().saturating_sub(1)];
    let mut place = 0..;
    kernels.retain(|_| place.next().is_some_and(|place| kept.contains(&place)));
    Ok(kernels)
}

/// Boots every kernel; one outcome each, in their order.
pub fn boot_all(request: &Request, kernels: &[Kernel], progress: &Progress) -> Result<Vec<Outcome>> {
    let folder = project::target().join("vm");
    let initramfs = initramfs::build(&folder, &request.job.words(), &request.files)?;
    let outcomes = Mutex::new(Vec::new());
    let boot = |place: usize, kernel: &Kernel| {
        let outcome = machine::boot(kernel, &initramfs, &folder, request.console, progress);
        if let Ok(mut outcomes) = outcomes.lock() {
            outcomes.push((place, outcome));
        }
    };
    let mut done = 0;
    let mut at_once = SIDE_BY_SIDE;
    if let ([first, _, ..], Job::Suite { .. }) = (kernels, &request.job) {
        let start = Instant::now();
        boot(0, first);
        done = 1;
        let slow = match request.job {
            Job::Suite { column: Column::Short, .. } => SLOW_SHORT,
            _ => SLOW,
        };
        if start.elapsed() > slow {
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
