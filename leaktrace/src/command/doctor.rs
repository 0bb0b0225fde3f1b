//! `leaktrace doctor`: what this host supports, each thing tried for real; for every "no" the reason and the way out.

use super::Outcome;
use crate::doctor::{Checkup, Verdict};
use std::io::Write;

/// Looks at the host and prints what was found.
///
/// # Errors
/// When stdout cannot be written.
pub fn doctor(json: bool) -> anyhow::Result<Outcome> {
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
