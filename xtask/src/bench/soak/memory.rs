//! Memory over the time of a soak: what it was when it had settled, beside what it was at the end.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::bench::median::Median;
use crate::bench::options::MIB;

/// At the longest, until memory has settled; and the time whose median counts.
const MINUTE: Duration = Duration::from_secs(60);

/// What is read in one sample.
type Figure = fn(&Moment) -> u64;

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Since the load began.
    pub at: Duration,
    /// Resident memory of leaktrace, bytes.
    pub resident: u64,
    /// Memory of its kernel maps, bytes.
    pub maps: u64,
}

impl fmt::Display for Moment {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:.1} MiB resident, {:.1} MiB in kernel maps", self.resident as f64 / MIB, self.maps as f64 / MIB)
    }
}

/// All samples.
#[derive(Debug)]
pub struct Memory {
    /// How long a stretch is: a minute, less in a short soak.
    stretch: Duration,
    moments: Vec<Moment>,
}

impl Memory {
    /// For a soak so long.
    pub fn over(span: Duration) -> Self {
        Self { stretch: MINUTE.min(span / 5), moments: Vec::new() }
    }

    /// One more.
    pub fn push(&mut self, moment: Moment) {
        self.moments.push(moment);
    }

    /// Medians of one figure: in the stretch after the one in which it settles, and in the last.
    fn ends(&self, figure: impl Fn(&Moment) -> u64) -> Option<(f64, f64)> {
        let end = self.moments.last()?.at;
        let median = |from: Duration, to: Duration| {
            let inside = self.moments.iter().filter(|moment| (from..=to).contains(&moment.at));
            let figures: Vec<f64> = inside.map(|moment| figure(moment) as f64 / MIB).collect();
            Some(Median::of(&figures)?.value)
        };
        Some((median(self.stretch, self.stretch * 2)?, median(end.saturating_sub(self.stretch), end)?))
    }

    /// Prints it, and gives it as JSON.
    pub fn summary(&self) -> Result<Value> {
        let mut all = serde_json::Map::new();
        let figures: [(&str, &str, Figure); 2] = [
            ("resident", "resident_mib", |moment| moment.resident),
            ("kernel maps", "kernel_maps_mib", |moment| moment.maps),
        ];
        for (name, key, figure) in figures {
            let (first, last) = self.ends(figure).context("the soak was too short to see memory settle")?;
            println!(
                "{name:<12}{first:.2} MiB after {:.0} s, {last:.2} MiB in the last {:.0} s: {:+.2} MiB",
                self.stretch.as_secs_f64(),
                self.stretch.as_secs_f64(),
                last - first
            );
            let each: Vec<f64> = self.moments.iter().map(|moment| figure(moment) as f64 / MIB).collect();
            all.insert(key.to_owned(), json!({ "settled": first, "last": last, "change": last - first, "each": each }));
        }
        let seconds: Vec<f64> = self.moments.iter().map(|moment| moment.at.as_secs_f64()).collect();
        all.insert("seconds".to_owned(), json!(seconds));
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(span: u64, mib: impl Fn(u64) -> u64) -> Memory {
        let mut memory = Memory::over(Duration::from_secs(span));
        for at in (5..=span).step_by(5) {
            memory.push(Moment { at: Duration::from_secs(at), resident: mib(at) << 20, maps: 7 << 20 });
        }
        memory
    }

    #[test]
    fn what_is_taken_while_it_settles_is_no_growth() {
        let memory = memory(600, |at| if at < 60 { at } else { 60 });
        assert_eq!(memory.ends(|moment| moment.resident), Some((60.0, 60.0)));
    }

    #[test]
    fn a_steady_rise_shows() {
        let memory = memory(600, |at| at);
        assert_eq!(memory.ends(|moment| moment.resident), Some((90.0, 570.0)));
        assert_eq!(memory.ends(|moment| moment.maps), Some((7.0, 7.0)));
    }

    #[test]
    fn a_short_soak_has_short_stretches_and_one_without_looks_has_none() {
        assert_eq!(memory(100, |at| at).ends(|moment| moment.resident), Some((30.0, 90.0)));
        assert_eq!(Memory::over(MINUTE).ends(|moment| moment.resident), None);
    }
}
