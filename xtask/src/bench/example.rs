//! Figures that a program of leaktrace's examples prints of itself, taken again and again.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::series::Series;
use crate::project;

/// What was measured, by name.
pub struct Figures(BTreeMap<String, Series>);

/// Builds an example of a package and runs it so often.
pub fn measure(package: &str, example: &str, arguments: &[String], runs: usize) -> Result<Figures> {
    project::must_run(project::cargo().args(["build", "--release", "--package", package, "--example", example]))?;
    let program = project::release_program("examples").join(example);
    let mut figures: BTreeMap<String, Series> = BTreeMap::new();
    for _ in 0..runs {
        let line = project::output_of(Command::new(&program).args(arguments))?;
        let printed: serde_json::Map<String, Value> =
            serde_json::from_str(&line).with_context(|| format!("{example} printed no JSON"))?;
        for (name, value) in printed {
            let value = value.as_f64().with_context(|| format!("{example} printed no number for {name}"))?;
            figures.entry(name).or_default().push(value);
        }
    }
    Ok(Figures(figures))
}

impl Figures {
    /// One by its name.
    pub fn get(&self, name: &str) -> Result<&Series> {
        self.0.get(name).with_context(|| format!("the example printed no {name}"))
    }

    /// All of them.
    pub fn to_json(&self) -> Result<Value> {
        let series = self.0.iter().map(|(name, series)| Ok((name.clone(), series.to_json()?)));
        Ok(Value::Object(series.collect::<Result<_>>()?))
    }
}
