//! Compares the stacks of all native programs of a run with gdb's, in one cell. A gdb that did not answer is no agreement.

use super::cells::Result as Outcome;
use super::gdb::{self, Refusal};
use super::languages;
use super::report::{Callsite, Report};
use anyhow::Result;
use std::path::Path;

/// Compares the first connect of each program, by name and process, with what gdb shows of another run; `None` where none of them
/// is native.
///
/// # Errors
/// When a compiler fails, or gdb's script cannot be written into the folder, where programs lie.
pub fn of<'a>(
    programs: impl Iterator<Item = (&'a str, u32)>,
    report: &Report,
    folder: &Path,
) -> Result<Option<Outcome>> {
    let mut opinion = Opinion::default();
    for (program, pid) in programs {
        let Some(language) = languages::find(program).filter(|language| language.is_native()) else { continue };
        let leaks = |site: &&Callsite| site.direction == "connect" && site.pids.contains(&pid);
        // A missing call site fails the program's own cell.
        let Some(site) = report.callsites.iter().find(leaks) else { continue };
        let Ok(binary) = language.with_symbols().program(folder)? else { continue };
        opinion.asked += 1;
        match gdb::backtrace(folder, &binary)? {
            Ok(frames) => {
                let complaints = gdb::compare(site, &frames);
                opinion.complaints.extend(complaints.iter().map(|complaint| format!("{program}: {complaint}")));
            }
            Err(refusal) => opinion.refusals.push((program.to_owned(), refusal)),
        }
    }
    Ok(opinion.outcome())
}

#[derive(Debug, Default)]
struct Opinion {
    asked: usize,
    complaints: Vec<String>,
    refusals: Vec<(String, Refusal)>,
}

impl Opinion {
    /// A contradiction counts most, then a refusal. Set-up installs gdb, so a missing gdb is unexpected; a machine may forbid tracing.
    fn outcome(self) -> Option<Outcome> {
        if self.asked == 0 {
            return None;
        }
        if !self.complaints.is_empty() {
            return Some(Outcome::Fail(self.complaints));
        }
        Some(match self.refusals.first() {
            None => Outcome::Pass,
            Some((_, Refusal::Missing)) => Outcome::UnexpectedSkip(Refusal::Missing.to_string()),
            Some((program, silent)) => {
                Outcome::Skip(format!("{program}: {silent} ({} of {} programs)", self.refusals.len(), self.asked))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opinion(complaints: &[&str], refusals: &[Refusal]) -> Option<Outcome> {
        let complaints = complaints.iter().map(|complaint| (*complaint).to_owned()).collect();
        let refusals = refusals.iter().map(|refusal| ("cpp".to_owned(), refusal.clone())).collect();
        Opinion { asked: 3, complaints, refusals }.outcome()
    }

    #[test]
    fn a_gdb_that_does_not_answer_is_no_consent() {
        let silent = Refusal::Silent("no permission".to_owned());
        assert_eq!(opinion(&[], &[]), Some(Outcome::Pass));
        let skipped = "cpp: gdb shows no stack: no permission (1 of 3 programs)".to_owned();
        assert_eq!(opinion(&[], std::slice::from_ref(&silent)), Some(Outcome::Skip(skipped)));
        assert!(matches!(opinion(&[], &[Refusal::Missing]), Some(Outcome::UnexpectedSkip(_))));
        assert_eq!(
            opinion(&["cpp: another frame"], &[silent]),
            Some(Outcome::Fail(vec!["cpp: another frame".to_owned()]))
        );
    }

    #[test]
    fn where_no_program_is_native_there_is_nothing_to_say() -> Result<()> {
        let none = of([("fifty", 7), ("node-perf", 8)].into_iter(), &Report::default(), Path::new("/nowhere"))?;
        assert_eq!(none, None);
        Ok(())
    }
}
