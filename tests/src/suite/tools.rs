//! Whether a compiler or an interpreter is there.

use std::process::{Command, Stdio};

/// Whether a tool can be run at all.
pub fn runs(tool: &str, argument: &str) -> bool {
    let quiet = Command::new(tool).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}
