//! Processes that hold sockets, and how their number of descriptors grows.

use crate::growth::Series;
use leaktrace_model::{Holder, HolderProcess, Holders};
use std::collections::HashMap;

/// Which process holds which socket, from the last holders pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processes {
    rows: HashMap<u32, HolderProcess>,
    descriptors: HashMap<u32, Series>,
    holders: HashMap<u64, Vec<(u32, u32)>>,
}

/// How fast the number of descriptors of a process grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DescriptorGrowth {
    /// Descriptors a minute.
    pub per_min: f64,
    /// Seconds until the limit at that rate; `None` when the number does not grow.
    pub exhausted_s: Option<f64>,
}

/// Holders passes are rare, so few readings must be enough.
const FEWEST_READINGS: usize = 4;

impl Processes {
    /// Takes in a holders pass.
    pub(crate) fn ingest(&mut self, seconds: f64, holders: &Holders) {
        self.rows = holders.processes.iter().map(|row| (row.pid, *row)).collect();
        self.descriptors.retain(|pid, _| self.rows.contains_key(pid));
        for row in &holders.processes {
            self.descriptors.entry(row.pid).or_default().push(seconds, u64::from(row.fds));
        }
        self.holders.clear();
        for row in &holders.rows {
            self.holders.entry(row.sk).or_default().push((row.pid, row.fd));
        }
        for held in self.holders.values_mut() {
            held.sort_unstable();
            // The kernel shows a descriptor again when its row did not fit.
            held.dedup();
        }
    }

    /// Whether a process holds sockets.
    pub(crate) fn holds(&self, pid: u32) -> bool {
        self.rows.contains_key(&pid)
    }

    /// All processes that hold sockets.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &HolderProcess> {
        self.rows.values()
    }

    /// Process and descriptor of every holder of a socket.
    pub(crate) fn of_socket(&self, sk: u64) -> &[(u32, u32)] {
        self.holders.get(&sk).map_or(&[], Vec::as_slice)
    }

    /// The same, as reports show it.
    pub(crate) fn describe(&self, sk: u64, comm: impl Fn(u32) -> String) -> Vec<Holder> {
        self.of_socket(sk).iter().map(|(pid, fd)| Holder { pid: *pid, comm: comm(*pid), fd: *fd }).collect()
    }

    /// How the descriptors of a process grow; `None` while that is not known.
    pub(crate) fn growth(&self, pid: u32, limit: Option<u64>) -> Option<DescriptorGrowth> {
        let points: Vec<(f64, u64)> = self.descriptors.get(&pid)?.points().collect();
        if points.len() < FEWEST_READINGS {
            return None;
        }
        let (first, last) = (points.first()?, points.last()?);
        let seconds = last.0 - first.0;
        if seconds <= 0.0 {
            return None;
        }
        let per_min = (last.1 as f64 - first.1 as f64) / seconds * 60.0;
        let rising = points.windows(2).all(|pair| pair[1].1 >= pair[0].1) && per_min > 0.0;
        let left = limit.map(|limit| limit.saturating_sub(last.1) as f64);
        let exhausted_s = if rising { left.map(|left| left / per_min * 60.0) } else { None };
        Some(DescriptorGrowth { per_min, exhausted_s })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_at_one_moment_show_no_growth() {
        let mut processes = Processes::default();
        for fds in 0..6 {
            let row = HolderProcess { pid: 7, fds, ..HolderProcess::default() };
            processes.ingest(5.0, &Holders { processes: vec![row], ..Holders::default() });
        }
        assert_eq!(processes.growth(7, Some(1024)), None);
    }

    #[test]
    fn a_process_that_leaks_descriptors_has_a_date_with_its_limit() {
        let mut processes = Processes::default();
        for reading in 0..6_u32 {
            let row = HolderProcess { pid: 7, fds: 100 + reading * 10, ..HolderProcess::default() };
            processes.ingest(f64::from(reading) * 10.0, &Holders { processes: vec![row], ..Holders::default() });
        }
        let growth = processes.growth(7, Some(1024));
        assert_eq!(growth.map(|growth| growth.per_min), Some(60.0));
        assert_eq!(growth.and_then(|growth| growth.exhausted_s), Some(874.0));
    }
}
