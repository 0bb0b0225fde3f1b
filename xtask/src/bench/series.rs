//! Figures of one kind in the order they were taken: what every benchmark prints and writes of them.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::median::Median;

/// Figures of one kind.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<f64>);

impl Series {
    /// One more.
    pub fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// Their median, with its interval.
    pub fn median(&self) -> Result<Median> {
        Median::of(&self.0).context("nothing was measured")
    }

    /// Their mean: says more than the median where one figure is a few clock ticks.
    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len().max(1) as f64
    }

    /// As in the JSON of every benchmark.
    pub fn to_json(&self) -> Result<Value> {
        let Median { value, interval } = self.median()?;
        Ok(json!({
            "median": value, "low": interval.map(|ends| ends.0), "high": interval.map(|ends| ends.1), "mean": self.mean(),
            "each": self.0,
        }))
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Self {
        Self(figures.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_has_the_median_and_each_figure() {
        let series: Series = [3.0, 1.0, 2.0].into_iter().collect();
        let wanted = json!({ "median": 2.0, "low": null, "high": null, "mean": 2.0, "each": [3.0, 1.0, 2.0] });
        assert_eq!(series.to_json().ok(), Some(wanted));
        assert!(Series::default().to_json().is_err());
    }
}
