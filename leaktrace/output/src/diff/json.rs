//! A comparison as one JSON object: `{schema_version, tool, old, new, counts, changes}`.

use super::{
    change::{Change, ChangeKind},
    comparison::Diff,
    read::Report,
};
use crate::json::write_json;
use leaktrace_model::Tool;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// Version of this structure.
const DIFF_SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    tool: Tool,
    old: &'a Report,
    new: &'a Report,
    counts: BTreeMap<&'static str, usize>,
    changes: &'a [Change],
}

impl Diff {
    /// Writes it as one JSON object.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let document = Document {
            schema_version: DIFF_SCHEMA_VERSION,
            tool: Tool::default(),
            old: &self.old,
            new: &self.new,
            counts: ChangeKind::ALL.iter().map(|kind| (kind.name(), self.count(*kind))).collect(),
            changes: &self.changes,
        };
        write_json(&document, out)
    }
}
