//! Where a soak's recording and report lie: in the temporary folder, gone when the soak is over.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Their paths.
pub struct Files {
    /// Every sample.
    pub recording: PathBuf,
    /// The last one, in full.
    pub report: PathBuf,
}

impl Files {
    /// Names for this process; nothing is there yet.
    pub fn new() -> Self {
        let path = |kind| std::env::temp_dir().join(format!("leaktrace-soak-{}.{kind}", std::process::id()));
        Self { recording: path("ltr"), report: path("json") }
    }

    /// The report, once leaktrace has ended.
    pub fn report(&self) -> Result<Value> {
        let text = fs::read_to_string(&self.report).context("leaktrace has written no report")?;
        serde_json::from_str(&text).context("leaktrace's report is no JSON")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Whichever was never written.
        let _ = fs::remove_file(&self.recording);
        let _ = fs::remove_file(&self.report);
    }
}
