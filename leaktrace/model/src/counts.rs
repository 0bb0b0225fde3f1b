//! How many sockets have each verdict.

use crate::{Severity, Verdict, Verdicts};
use serde::{Serialize, Serializer, ser::SerializeMap as _};

/// Sockets by verdict. Serializes to an object from verdict names, in alphabetical order, to counts; zeros are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VerdictCounts([u64; Verdict::COUNT]);

impl VerdictCounts {
    /// Counts in the order of the table of verdicts, which is that of their numbers (`verdict as usize`), not of [`Verdict::ALL`].
    pub const fn new(counts: [u64; Verdict::COUNT]) -> Self {
        Self(counts)
    }

    /// The counts in the same order.
    pub const fn as_array(&self) -> &[u64; Verdict::COUNT] {
        &self.0
    }

    /// Sockets that have this verdict.
    pub fn get(&self, verdict: Verdict) -> u64 {
        self.0[verdict as usize]
    }

    /// Sets how many sockets have this verdict.
    pub fn set(&mut self, verdict: Verdict, count: u64) {
        self.0[verdict as usize] = count;
    }

    /// Counts one socket that has these verdicts.
    pub fn add(&mut self, verdicts: Verdicts) {
        for verdict in verdicts.iter() {
            self.0[verdict as usize] += 1;
        }
    }

    /// Adds other counts to these.
    pub fn merge(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    /// Whether every count is zero.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }

    /// The verdicts that are counted, worst first, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (Verdict, u64)> + '_ {
        Verdict::ALL.into_iter().map(|verdict| (verdict, self.get(verdict))).filter(|(_, count)| *count > 0)
    }

    /// The worst severity that is counted.
    pub fn worst(&self) -> Option<Severity> {
        self.iter().map(|(verdict, _)| verdict.severity()).max()
    }
}

impl FromIterator<(Verdict, u64)> for VerdictCounts {
    fn from_iter<T: IntoIterator<Item = (Verdict, u64)>>(counts: T) -> Self {
        let mut sums = Self::default();
        counts.into_iter().for_each(|(verdict, count)| sums.0[verdict as usize] += count);
        sums
    }
}

impl Serialize for VerdictCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut counted: Vec<(&str, u64)> = self.iter().map(|(verdict, count)| (verdict.name(), count)).collect();
        counted.sort_unstable();
        let mut map = serializer.serialize_map(Some(counted.len()))?;
        for (name, count) in counted {
            map.serialize_entry(name, &count)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_names_in_alphabetical_order_and_no_zeros() {
        let counts: VerdictCounts = [(Verdict::NeverRead, 2), (Verdict::CloseWait, 1)].into_iter().collect();
        assert_eq!(serde_json::to_string(&counts).unwrap(), r#"{"close-wait":1,"never-read":2}"#);
        assert_eq!(counts.worst(), Some(Severity::Leak));
        assert!(VerdictCounts::default().is_empty());
    }
}
