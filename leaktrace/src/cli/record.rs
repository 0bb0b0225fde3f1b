//! Arguments of `record`.

use super::{
    WatchArgs,
    choices::{parse_mode, report_formats},
};
use crate::cli::quantities::parse_duration;
use crate::config::WatchConfig;
use clap::{Args, ValueHint};
use leaktrace_output::ReportFormat;
use std::{path::PathBuf, time::Duration};

/// Arguments of `record`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo leaktrace record -o incident.ltr                     until ^C
  sudo leaktrace record --duration 1h -o incident.ltr
  sudo leaktrace record --duration 5m -o incident.ltr --report incident.html --format html
  leaktrace top --replay incident.ltr                       anywhere, without root
  leaktrace report --replay incident.ltr --stall 1m --format json
Each sample is written before the next one is taken: whatever ends the recorder, the rest can be
replayed. Thresholds and filters go with the recording and hold unless others are given on replay. What the filters do
not let through is not recorded: a filter on replay can only leave out more.")]
pub(crate) struct RecordArgs {
    /// What to watch.
    #[command(flatten)]
    pub watch: WatchArgs,
    /// File to write; what is in it is replaced
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// Permissions of the files, in octal [default: 600; a file that is there keeps its own]
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    pub mode: Option<u32>,
    /// How long to watch [default: until ^C]
    #[arg(long, value_name = "DUR", value_parser = parse_duration, env = "LEAKTRACE_DURATION")]
    pub duration: Option<Duration>,
    /// Write a report of the whole watch as well; `-` is stdout
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub report: Option<PathBuf>,
    /// Format of the report
    #[arg(long, value_parser = report_formats(), default_value = "text", env = "LEAKTRACE_FORMAT")]
    pub format: ReportFormat,
}

/// What `record` does, checked.
#[derive(Clone, Debug)]
pub(crate) struct RecordConfig {
    /// What to watch.
    pub watch: WatchConfig,
    /// Where the recording goes.
    pub output: PathBuf,
    /// Permissions of the files; `None` for the usual ones.
    pub mode: Option<u32>,
    /// How long to record; `None` until a signal ends it.
    pub duration: Option<Duration>,
    /// Where a report goes as well, if one is asked for.
    pub report: Option<PathBuf>,
    /// Format of that report.
    pub format: ReportFormat,
}

impl TryFrom<RecordArgs> for RecordConfig {
    type Error = anyhow::Error;

    fn try_from(args: RecordArgs) -> Result<Self, anyhow::Error> {
        let watch = WatchConfig::try_from(args.watch)?;
        if watch.replay.is_some() {
            anyhow::bail!("record cannot be combined with --replay: that is a recording already; copy the file");
        }
        if args.output.as_os_str() == "-" {
            anyhow::bail!("a recording goes into a file, which keeps it whole when the disk is full: name one with -o");
        }
        let RecordArgs { output, mode, duration, report, format, .. } = args;
        Ok(Self { watch, output, mode, duration, report, format })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn config(words: &[&str]) -> Result<RecordConfig, String> {
        let line = ["leaktrace", "record"].iter().chain(words);
        match Cli::try_parse_from(line).map_err(|error| error.to_string())?.command {
            Some(Command::Record(args)) => RecordConfig::try_from(*args).map_err(|error| error.to_string()),
            other => Err(format!("{other:?} is not record")),
        }
    }

    #[test]
    fn a_recording_needs_a_file() {
        assert!(config(&[]).is_err_and(|error| error.contains("--output")));
        assert!(config(&["-o", "-"]).is_err_and(|error| error.contains("name one with -o")));
        assert!(config(&["-o", "x.ltr"]).is_ok_and(|config| config.duration.is_none()));
    }

    #[test]
    fn a_recording_of_a_recording_is_refused() {
        assert!(config(&["-o", "x", "--replay", "y"]).is_err_and(|error| error.contains("--replay")));
    }
}
