//! How much processor time leaktrace may take for itself.

use std::{num::ParseFloatError, str::FromStr, time::Duration};

/// The share of one core that sampling may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CpuBudget {
    percent: f64,
}

impl Default for CpuBudget {
    fn default() -> Self {
        Self { percent: 1.0 }
    }
}

/// Why something is not a budget.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CpuBudgetError {
    /// Not a number.
    #[error("a budget is a percentage of one core, such as 1 or 0.5%: {0}")]
    NotANumber(#[from] ParseFloatError),
    /// Out of range.
    #[error("a budget is between 0.01 and 100 percent of one core, or 0 for none")]
    OutOfRange,
}

impl TryFrom<f64> for CpuBudget {
    type Error = CpuBudgetError;

    fn try_from(percent: f64) -> Result<Self, CpuBudgetError> {
        let possible = percent == 0.0 || (0.01..=100.0).contains(&percent);
        if possible { Ok(Self { percent }) } else { Err(CpuBudgetError::OutOfRange) }
    }
}

impl FromStr for CpuBudget {
    type Err = CpuBudgetError;

    fn from_str(text: &str) -> Result<Self, CpuBudgetError> {
        text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>()?.try_into()
    }
}

impl CpuBudget {
    /// In percent of one core.
    pub(crate) fn percent(self) -> f64 {
        self.percent
    }

    /// Shortest time between samples of this cost that keeps to the budget; zero without a budget.
    pub(crate) fn interval_for(self, cost: Duration) -> Duration {
        if self.percent == 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(cost.as_secs_f64() * 100.0 / self.percent).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_percentage_with_or_without_its_sign() {
        assert_eq!("0.5%".parse(), Ok(CpuBudget { percent: 0.5 }));
        assert_eq!("100".parse(), Ok(CpuBudget { percent: 100.0 }));
        for wrong in ["-1", "101", "NaN", "inf", "0.001"] {
            assert_eq!(wrong.parse::<CpuBudget>(), Err(CpuBudgetError::OutOfRange), "{wrong}");
        }
        assert!(matches!("much".parse::<CpuBudget>(), Err(CpuBudgetError::NotANumber(_))));
    }
}
