//! Facts about the processes that samples mention. Each process is read once, and all are read again with each holders pass.

use crate::{host::read_process, passes::iterators::Rows};
use leaktrace_model::{ProcessFacts, Sample};
use std::collections::HashSet;

/// Processes that samples mention and whose facts were reported, or could not be read.
#[derive(Default)]
pub(crate) struct ReportedProcesses(HashSet<u32>);

impl ReportedProcesses {
    /// Facts about the mentioned processes that were not reported before. With a holders pass, facts about all mentioned processes:
    /// meanwhile a process may have started another program, or its id may have been given to another process.
    pub(crate) fn new_processes(&mut self, sample: &Sample, rows: &Rows) -> Vec<ProcessFacts> {
        let mut mentioned: Vec<u32> = sample.callsites.iter().map(|(_, site)| site.key.pid).collect();
        mentioned.extend(rows.processes.iter().map(|row| row.tgid));
        mentioned.extend(rows.holders.iter().map(|row| row.tgid));
        mentioned.sort_unstable();
        mentioned.dedup();
        self.0.retain(|pid| mentioned.binary_search(pid).is_ok());
        let report_all = sample.holders.is_some();
        let wanted = mentioned.into_iter().filter(|pid| *pid != 0 && (self.0.insert(*pid) || report_all));
        wanted.filter_map(read_process).collect()
    }
}
