//! Arguments of `run`.

use super::{
    WatchArgs,
    choices::{parse_fail_on, parse_mode, report_formats},
};
use crate::cli::quantities::parse_duration;
use crate::config::WatchConfig;
use clap::{Args, ValueHint};
use leaktrace_model::{Severity, Verdicts};
use leaktrace_output::ReportFormat;
use std::{ffi::OsString, path::PathBuf, time::Duration};

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo leaktrace run -- pytest -x               a leak check for a test suite; the tests run as you
  sudo leaktrace run --user ci -- make check    the same as another user
  sudo leaktrace run -o leaks.json --format json -- ./start-and-test.sh
  sudo leaktrace run --fail-on any --stall 1s -- make check
  sudo leaktrace run --fail-on none -- curl https://example.com
Leaked is a socket that nothing but the exit of its process closed, unless the process was killed, and
one with a verdict of severity leak. The report goes to stderr, as stdout belongs to CMD.
Exit status: that of CMD; 128 and the signal if one killed it, 127 if there is no such command, 126 if it
cannot be run. 1 if CMD succeeded and something matched --fail-on. 2 for wrong usage, or if this host cannot
do it: then CMD was not started.")]
pub(crate) struct RunArgs {
    /// What to watch.
    #[command(flatten)]
    pub watch: WatchArgs,
    /// Exit with 1 if CMD succeeded and one of these came up: left-open, verdicts, severities (leak, suspect, info), any,
    /// or none. leak and any include left-open
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_run_fail_on, default_value = "leak", env = "LEAKTRACE_FAIL_ON")]
    pub fail_on: Vec<FailOn>,
    /// How long to follow what CMD has left running in the background
    #[arg(long, value_name = "DUR", default_value = "2s", value_parser = parse_duration)]
    pub wait: Duration,
    /// Format of the report
    #[arg(long, value_parser = report_formats(), default_value = "text", env = "LEAKTRACE_FORMAT")]
    pub format: ReportFormat,
    /// File to write the report to, whole or not at all; `-` is stdout [default: stderr]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Permissions of the file, in octal [default: 600; a file that is there keeps its own]
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    pub mode: Option<u32>,
    /// User to run CMD as, by name or number, with that user's groups and HOME [default: under sudo the one who called it]
    #[arg(long, value_name = "USER", value_hint = ValueHint::Username)]
    pub user: Option<String>,
    /// The command and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true, value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// What makes a run fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FailOn {
    /// One of these verdicts was found.
    pub verdicts: Verdicts,
    /// A process that ended by itself left a socket open.
    pub left_open: bool,
}

impl FailOn {
    fn or(self, other: Self) -> Self {
        Self { verdicts: self.verdicts.or(other.verdicts), left_open: self.left_open || other.left_open }
    }
}

/// Parses what [`parse_fail_on`] does, and the words that only a run has.
fn parse_run_fail_on(text: &str) -> Result<FailOn, String> {
    match text {
        "none" => Ok(FailOn::default()),
        "left-open" => Ok(FailOn { left_open: true, ..FailOn::default() }),
        _ => {
            let verdicts = parse_fail_on(text).map_err(|error| error.replace("any,", "any, none, left-open,"))?;
            let is_severity =
                text == "any" || [Severity::Leak, Severity::Suspect, Severity::Info].iter().any(|s| s.name() == text);
            Ok(FailOn { verdicts, left_open: is_severity })
        }
    }
}

/// What `run` does, checked.
#[derive(Clone, Debug)]
pub(crate) struct RunConfig {
    /// How to watch.
    pub watch: WatchConfig,
    /// What makes it fail.
    pub fail_on: FailOn,
    /// How long to follow processes that the command leaves in the background.
    pub wait: Duration,
    /// How to write the report.
    pub format: ReportFormat,
    /// Where; `None` is stderr.
    pub output: Option<PathBuf>,
    /// Permissions of the file; `None` for the usual ones.
    pub mode: Option<u32>,
    /// The user that it runs as; `None` for the caller of sudo.
    pub user: Option<String>,
    /// Program and arguments, never empty.
    pub command: Vec<OsString>,
}

impl TryFrom<RunArgs> for RunConfig {
    type Error = anyhow::Error;

    fn try_from(args: RunArgs) -> Result<Self, anyhow::Error> {
        let watch = WatchConfig::try_from(args.watch)?;
        if !watch.filter.pids.is_empty() {
            anyhow::bail!("run follows the processes of its command: leave --pid out, or use `leaktrace report --pid`");
        }
        if watch.replay.is_some() {
            anyhow::bail!("run cannot be combined with --replay: a recording runs no command");
        }
        Ok(Self {
            watch,
            fail_on: args.fail_on.into_iter().fold(FailOn::default(), FailOn::or),
            wait: args.wait,
            format: args.format,
            output: args.output,
            mode: args.mode,
            user: args.user,
            command: args.command,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use leaktrace_model::Verdict;

    fn config(words: &[&str]) -> Result<RunConfig, String> {
        let line = ["leaktrace", "run"].iter().chain(words);
        match Cli::try_parse_from(line).map_err(|error| error.to_string())?.command {
            Some(Command::Run(args)) => RunConfig::try_from(*args).map_err(|error| error.to_string()),
            other => Err(format!("{other:?} is not run")),
        }
    }

    #[test]
    fn the_words_of_the_command_are_its_own() {
        for words in [&["--", "pytest", "-x", "--format", "json"][..], &["pytest", "-x", "--format", "json"]] {
            let config = config(words).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((config.command.len(), config.format), (4, ReportFormat::Text));
        }
        assert!(config(&[]).is_err_and(|error| error.contains("CMD")));
    }

    #[test]
    fn leaks_fail_a_run_unless_fail_on_says_otherwise() {
        let fail_on = |words: &[&str]| config(words).map(|config| config.fail_on).unwrap_or_default();
        let by_default = fail_on(&["true"]);
        assert!(by_default.left_open && by_default.verdicts.contains(Verdict::CloseWait));
        assert!(!by_default.verdicts.contains(Verdict::LongLived));
        assert_eq!(fail_on(&["--fail-on", "none", "true"]), FailOn::default());
        let named = fail_on(&["--fail-on", "close-wait", "true"]);
        assert!(!named.left_open && named.verdicts.iter().count() == 1);
        assert!(fail_on(&["--fail-on", "left-open,connecting", "true"]).left_open);
    }

    #[test]
    fn a_process_or_a_recording_is_refused() {
        assert!(config(&["--pid", "1", "true"]).is_err_and(|error| error.contains("--pid")));
        assert!(config(&["--fail-on", "banana", "true"]).is_err_and(|error| error.contains("left-open")));
    }
}
