//! A comparison as one JSON object: `{schema_version, tool, old, new, counts, changes}`.

use super::{Change, ChangeKind, Diff, Report};
use crate::write_json;
use leaktrace_model::snapshot::Tool;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

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

pub(super) fn write(diff: &Diff, out: &mut dyn Write) -> io::Result<()> {
    let counts = ChangeKind::ALL.iter().map(|kind| (kind.name(), diff.count(*kind))).collect();
    let document = Document {
        schema_version: DIFF_SCHEMA_VERSION,
        tool: Tool::default(),
        old: &diff.old,
        new: &diff.new,
        counts,
        changes: &diff.changes,
    };
    write_json(&document, out)
}
