//! `bench bulk`: throughput of one loopback connection with leaktrace watching beside without.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::series::Series;
use super::tracer::Subject;
use super::{Pairs, load, turns};

/// Measures.
pub fn measure(subject: &Subject, pairs: &Pairs) -> Result<Value> {
    load::build(&["bulk"])?;
    let span = pairs.span();
    transfer(span)?;
    let (mut untraced, mut traced, mut kept) = (Series::default(), Series::default(), Series::default());
    println!("{:>4}  {:>12} {:>12} {:>7}", "pair", "untraced", "traced", "kept");
    for round in 0..pairs.count() {
        let (without, with) = turns::pair(
            round,
            || transfer(span),
            || {
                let mut tracer = subject.start("top", &[])?.running;
                let rate = transfer(span)?;
                tracer.still_runs()?;
                Ok(rate)
            },
        )?;
        let percent = with / without * 100.0;
        println!("{:>4}  {without:>7.2} GB/s {with:>7.2} GB/s {percent:>6.1}%", round + 1);
        untraced.push(without);
        traced.push(with);
        kept.push(percent);
    }
    println!();
    println!("keeps {:.1} % of {:.2} GB/s", kept.median()?, untraced.median()?.value);
    Ok(json!({
        "seconds_per_run": span.as_secs_f64(), "kept_percent": kept.to_json()?,
        "untraced_gb_per_second": untraced.to_json()?, "traced_gb_per_second": traced.to_json()?,
    }))
}

/// Gigabytes a second.
fn transfer(span: Duration) -> Result<f64> {
    Ok(load::run("bulk", &["--seconds", &span.as_secs_f64().to_string()])?.figure("bytes_per_second")? / 1e9)
}
