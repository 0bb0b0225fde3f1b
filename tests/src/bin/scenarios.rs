//! `scenarios NAME`: runs one scenario program. `scenarios` alone lists them.
//!
//! `--stall-ms` and `--idle-ms` are the limits that the pauses of controls must stay below.

use anyhow::{Context, Result};
use leaktrace_tests::scenarios::refusal::CannotRunHere;
use leaktrace_tests::scenarios::stage::{Limits, Stage};
use leaktrace_tests::scenarios::{CATALOGUE, find};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scenarios: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let Some(name) = words.next() else {
        for program in CATALOGUE {
            println!("{:?} {}", program.kind, program.name);
        }
        return Ok(());
    };
    let program = find(&name).with_context(|| format!("no program {name}; scenarios alone lists them"))?;
    let mut limits = Limits::default();
    while let Some(option) = words.next() {
        let value = words.next().with_context(|| format!("{option} wants milliseconds"))?;
        let span = Duration::from_millis(value.parse().with_context(|| format!("{value} is no number"))?);
        match option.as_str() {
            "--stall-ms" => limits.stall = span,
            "--idle-ms" => limits.idle = span,
            _ => anyhow::bail!("no option {option}"),
        }
    }
    let mut stage = Stage::new(program.name, limits);
    match (program.run)(&mut stage) {
        Err(error) => match error.downcast_ref::<CannotRunHere>() {
            Some(reason) => stage.skip(&reason.0),
            None => Err(error),
        },
        done => done,
    }
}
