//! The last test in a virtual machine: it locks the kernel down, which cannot be undone, and leaktrace must explain the refusal.

use super::cells::{Cells, Result as Outcome};
use super::tracer::Tracer;
use anyhow::Result;
use std::path::Path;

/// The file that sets the lockdown level, which can only rise (Documentation of `security/lockdown`).
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// Locks the kernel down and asks for a report.
///
/// # Errors
/// When leaktrace cannot be started.
pub fn run(leaktrace: &Path, hook: &str, cells: &mut Cells) -> Result<()> {
    const NAME: &str = "locked-down";
    if let Err(error) = std::fs::write(LOCKDOWN, "confidentiality") {
        cells.add(hook, NAME, Outcome::UnexpectedSkip(format!("cannot lock this kernel down: {error}")));
        return Ok(());
    }
    let mut tracer = Tracer::start(leaktrace, &["report", "--duration", "0s"])?;
    let attached = tracer.wait_until_attached()?;
    let outcome = tracer.wait()?;
    let mut complaints = Vec::new();
    if attached || outcome.status.code() != Some(2) || !outcome.stdout.is_empty() {
        complaints.push(format!("{}, {} bytes of data", outcome.status, outcome.stdout.len()));
    }
    for word in ["locked down", "lockdown=integrity"] {
        if !outcome.stderr.contains(word) {
            complaints.push(format!("no word of {word:?}: {}", outcome.stderr.trim()));
        }
    }
    cells.add(hook, NAME, if complaints.is_empty() { Outcome::Pass } else { Outcome::Fail(complaints) });
    Ok(())
}
