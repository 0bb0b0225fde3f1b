//! `leaktrace doctor`: what this host supports. Each thing is tried for real; each "no" comes with a reason and a hint.

use super::Outcome;
use crate::doctor::{Checkup, Verdict};
use std::io::Write;

/// Checks the host and prints the results.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn doctor(json: bool) -> anyhow::Result<Outcome> {
    let checkup = Checkup::of_this_host();
    let mut text = if json { serde_json::to_string_pretty(&checkup)? } else { checkup.to_string() };
    if json {
        text.push('\n');
    }
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        other => other?,
    }
    Ok(if checkup.verdict == Verdict::Unable { Outcome::Unable } else { Outcome::Done })
}
