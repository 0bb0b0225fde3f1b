//! One check of the host, and its result.

use serde::Serialize;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Standing {
    /// The host has it.
    Yes,
    /// The host does not have it, and leaktrace works without.
    No,
    /// The host does not have it, and leaktrace cannot work without.
    Fatal,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What was checked.
    pub name: &'static str,
    /// The result.
    pub standing: Standing,
    /// What was seen, or why it is missing.
    pub detail: String,
    /// What to do about a "no".
    #[serde(rename = "way_out")]
    pub hint: Option<String>,
}

impl Check {
    /// A check that succeeded.
    pub(crate) fn yes(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, standing: Standing::Yes, detail: detail.into(), hint: None }
    }

    /// A check that failed.
    pub(crate) fn no(
        name: &'static str,
        standing: Standing,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { name, standing, detail: detail.into(), hint: Some(hint.into()) }
    }
}
