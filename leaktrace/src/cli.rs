//! The command line: options, help and examples. What was typed is checked here and becomes a [`WatchConfig`] or the
//! like. No other module sees the arguments.

mod choices;
mod kill;
pub(crate) mod quantities;
mod record;
mod run;
mod watch;

pub(crate) use kill::{Act, KillArgs, KillConfig, Ssh};
pub(crate) use record::{RecordArgs, RecordConfig};
pub(crate) use run::{FailOn, RunArgs, RunConfig};
pub(crate) use watch::WatchArgs;

use crate::cli::choices::{parse_fail_on, parse_mode, report_formats};
use crate::cli::quantities::parse_duration;
use crate::config::WatchConfig;
use clap::{Args, Parser, Subcommand, ValueHint};
use leaktrace_model::Verdicts;
use leaktrace_output::{ReportFormat, diff::ChangeKind};
use std::{path::PathBuf, time::Duration};

const EXAMPLES: &str = "\
Examples:
  sudo leaktrace                                live view of open sockets by the code that opened them
  sudo leaktrace report --duration 30s          watch for half a minute, then print one report
  sudo leaktrace report --pid 4711 --format json -o leak.json
  sudo leaktrace report --fail-on leak          exit with 1 if a socket was leaked
  sudo leaktrace run -- pytest                  a leak check for a test suite
  leaktrace doctor                              what this host supports, what is missing, what to do

Durations read 500ms, 10s, 5m, 2h, 1d. Options whose help names a variable can be set by it (LEAKTRACE_THRESHOLD=5m).
Exit status: 0 done; 1 something matched --fail-on; 2 wrong usage, or this host cannot do it.";

/// Finds leaked and stuck TCP sockets, by the code that opened them.
#[derive(Debug, Parser)]
#[command(name = "leaktrace", version, after_help = EXAMPLES, max_term_width = 100, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    /// Bare `leaktrace` is `leaktrace top`.
    #[command(flatten)]
    pub top: TopArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Live view; off a terminal, a plain table every interval
    Top(Box<TopArgs>),
    /// Watch for a while, then print one report
    Report(Box<ReportArgs>),
    /// Run a command and report the sockets that its processes leave open
    Run(Box<RunArgs>),
    /// Write a recording that top and report take with --replay, on any machine, without root
    Record(Box<RecordArgs>),
    /// Compare two JSON reports by call site: a canary against its baseline
    Diff(DiffArgs),
    /// Close matching sockets; lists them unless told --yes
    Kill(Box<KillArgs>),
    /// Say what this host supports, what is missing, and what to do about it
    Doctor(DoctorArgs),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Arguments of `top`.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// What to watch.
    #[command(flatten)]
    pub watch: WatchArgs,
    /// Run this for each call site that leaks (severity leak), at most once an hour, with the finding as JSON on its stdin:
    /// the absolute path of a program, or a line for `sh -c`. Under sudo it runs as you
    #[arg(long, value_name = "CMD", value_hint = ValueHint::CommandString, env = "LEAKTRACE_ON_LEAK")]
    pub on_leak: Option<String>,
}

/// What `top` does, checked.
#[derive(Clone, Debug)]
pub(crate) struct TopConfig {
    /// What to watch.
    pub watch: WatchConfig,
    /// A command to run for each call site that leaks.
    pub on_leak: Option<String>,
}

impl TryFrom<TopArgs> for TopConfig {
    type Error = anyhow::Error;

    fn try_from(args: TopArgs) -> Result<Self, anyhow::Error> {
        Ok(Self { watch: args.watch.try_into()?, on_leak: args.on_leak })
    }
}

/// Arguments of `report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo leaktrace report                         30 s, text, on stdout
  sudo leaktrace report --duration 0s           one sample, now: what is older than the tracer has a lower-bound age
  sudo leaktrace report --duration 5m --format html -o leaks.html
  sudo leaktrace report --port 5432 --all --format csv
  sudo leaktrace report --fail-on close-wait,never-read
  sudo leaktrace report --stack-sample 100      stacks of 1 open in 100 in processes that open 1,000 a second
  leaktrace report --replay incident.ltr --duration 5m      the first five minutes of a recording
  sudo leaktrace report --until leak --duration 1d --on-leak 'mail -s leak ops@example.org'")]
pub(crate) struct ReportArgs {
    /// What to watch.
    #[command(flatten)]
    pub watch: WatchArgs,
    /// How long to watch; 0s takes one sample now [default: 30s; of a recording, all]
    #[arg(long, value_name = "DUR", value_parser = parse_duration, env = "LEAKTRACE_DURATION")]
    pub duration: Option<Duration>,
    /// Format of the report
    #[arg(long, value_parser = report_formats(), default_value = "text", env = "LEAKTRACE_FORMAT")]
    pub format: ReportFormat,
    /// File to write, whole or not at all; `-` is stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Permissions of the file, in octal [default: 600; a file that is there keeps its own]
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    pub mode: Option<u32>,
    /// List unflagged sockets too
    #[arg(long)]
    pub all: bool,
    /// Exit with 1 if one of these is found: verdicts, or severities (leak, suspect, info), or any
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_fail_on, env = "LEAKTRACE_FAIL_ON")]
    pub fail_on: Vec<Verdicts>,
    /// End as soon as one of these is found: as for --fail-on
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_fail_on, env = "LEAKTRACE_UNTIL")]
    pub until: Vec<Verdicts>,
    /// Run this for each call site that leaks (severity leak), at most once an hour, with the finding as JSON on its stdin:
    /// the absolute path of a program, or a line for `sh -c`. Under sudo it runs as you
    #[arg(long, value_name = "CMD", value_hint = ValueHint::CommandString, env = "LEAKTRACE_ON_LEAK")]
    pub on_leak: Option<String>,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  leaktrace diff baseline.json canary.json
  leaktrace diff --fail-on grown,new baseline.json canary.json
Call sites are matched by the names of their functions, across restarts, hosts and rebuilds.")]
pub(crate) struct DiffArgs {
    /// The report to compare with
    #[arg(value_name = "OLD", value_hint = ValueHint::FilePath)]
    pub old: PathBuf,
    /// The report that is compared
    #[arg(value_name = "NEW", value_hint = ValueHint::FilePath)]
    pub new: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Exit with 1 if there is such a change: new, gone, grown, shrunk
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_change)]
    pub fail_on: Vec<ChangeKind>,
}

/// A kind of change by its name.
fn parse_change(text: &str) -> Result<ChangeKind, String> {
    ChangeKind::from_name(text).ok_or_else(|| "expected new, gone, grown or shrunk".to_owned())
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How long `report` watches a live host.
const DEFAULT_DURATION: Duration = Duration::from_secs(30);

/// What `report` does, checked.
#[derive(Clone, Debug)]
pub(crate) struct ReportConfig {
    /// What to watch.
    pub watch: WatchConfig,
    /// How long, or how much of a recording.
    pub duration: Duration,
    /// How to write it.
    pub format: ReportFormat,
    /// Where; `None` is stdout.
    pub output: Option<PathBuf>,
    /// Permissions of the file; `None` for the usual ones.
    pub mode: Option<u32>,
    /// Whether unflagged sockets are listed.
    pub all: bool,
    /// Verdicts that make it exit with 1.
    pub fail_on: Verdicts,
    /// Verdicts that end it early.
    pub until: Verdicts,
    /// A command to run for each call site that leaks.
    pub on_leak: Option<String>,
}

impl TryFrom<ReportArgs> for ReportConfig {
    type Error = anyhow::Error;

    fn try_from(args: ReportArgs) -> Result<Self, anyhow::Error> {
        let watch = WatchConfig::try_from(args.watch)?;
        let duration = if watch.replay.is_some() { Duration::MAX } else { DEFAULT_DURATION };
        Ok(Self {
            watch,
            duration: args.duration.unwrap_or(duration),
            format: args.format,
            output: args.output,
            mode: args.mode,
            all: args.all,
            fail_on: args.fail_on.into_iter().fold(Verdicts::NONE, Verdicts::or),
            until: args.until.into_iter().fold(Verdicts::NONE, Verdicts::or),
            on_leak: args.on_leak,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
