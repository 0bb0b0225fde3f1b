//! Which processes a watch has been told about.

use super::passes::Rows;
use leaktrace_model::{ProcessFacts, Sample};
use std::collections::HashSet;

/// Processes that samples mention and that have been told of, or looked for and not found.
#[derive(Default)]
pub struct ToldProcesses(HashSet<u32>);

impl ToldProcesses {
    /// Facts about processes that are mentioned and have not been told yet; about all of them when the holders were looked
    /// at, for a process may run another program by then, and an id may be another process's.
    pub fn new_processes(&mut self, sample: &Sample, rows: &Rows) -> Vec<ProcessFacts> {
        let mut mentioned: Vec<u32> = sample.callsites.iter().map(|(_, site)| site.key.pid).collect();
        mentioned.extend(rows.processes.iter().map(|row| row.tgid));
        mentioned.extend(rows.holders.iter().map(|row| row.tgid));
        mentioned.sort_unstable();
        mentioned.dedup();
        self.0.retain(|pid| mentioned.binary_search(pid).is_ok());
        let tell_again = sample.holders.is_some();
        let wanted = mentioned.into_iter().filter(|pid| *pid != 0 && (self.0.insert(*pid) || tell_again));
        wanted.filter_map(crate::host::read_process).collect()
    }
}
