//! `leaktrace diff`: compares two reports call site by call site.

use super::Outcome;
use crate::cli::DiffArgs;
use leaktrace_output::{
    Destination,
    diff::{Diff, DiffOptions, read_report},
    write_whole,
};

/// Compares two reports and prints the changes. The outcome says whether a change of `--fail-on` was found.
///
/// # Errors
/// When a report cannot be read, or stdout cannot be written.
pub(crate) fn diff(args: &DiffArgs) -> anyhow::Result<Outcome> {
    let (old, new) = (read_report(&args.old)?, read_report(&args.new)?);
    let diff = Diff::of(old, new, &DiffOptions::default());
    let stdout = Destination::from_option(None);
    write_whole(&stdout, |out| if args.json { diff.write_json(out) } else { diff.write_text(out) })?;
    Ok(if diff.fails_on(&args.fail_on) { Outcome::Found } else { Outcome::Done })
}
