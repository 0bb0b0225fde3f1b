//! One check of the host, and how it stands.

use serde::Serialize;

/// How one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It is there.
    Yes,
    /// It is not, and leaktrace does without.
    No,
    /// It is not, and leaktrace cannot do without.
    Fatal,
}

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// How it stands.
    pub standing: Standing,
    /// What was seen, or why not.
    pub detail: String,
    /// What to do about a "no".
    #[serde(rename = "way_out")]
    pub hint: Option<String>,
}

impl Check {
    /// A check that went well.
    pub fn yes(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, standing: Standing::Yes, detail: detail.into(), hint: None }
    }

    /// A check that did not.
    pub fn no(name: &'static str, standing: Standing, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name, standing, detail: detail.into(), hint: Some(hint.into()) }
    }
}
