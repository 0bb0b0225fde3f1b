//! The options that all commands which watch sockets share, and how they become a [`WatchConfig`].

use crate::cli::quantities::{parse_duration, parse_size};
use crate::config::{ConfigFile, CpuBudget, ReplayConfig, WatchConfig};
use anyhow::{Context, bail};
use clap::{
    Args, ValueHint,
    builder::{BoolishValueParser, NonEmptyStringValueParser, PossibleValue},
};
use leaktrace_kernel::{HookChoice, Stacks};
use leaktrace_model::{Direction, Filter, HookKind, Limits, Network, StackSample, Unwind};
use leaktrace_symbols::DEFAULT_CACHE_BYTES;
use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

/// The options.
#[derive(Clone, Debug, Args)]
pub(crate) struct WatchArgs {
    /// Age from which an open socket is long-lived [default: 60s]
    #[arg(long, value_name = "DUR", value_parser = parse_duration, env = "LEAKTRACE_THRESHOLD")]
    threshold: Option<Duration>,
    /// How long a stuck state must last before it is flagged [default: 10s]
    #[arg(long, value_name = "DUR", value_parser = parse_duration, env = "LEAKTRACE_STALL")]
    stall: Option<Duration>,
    /// How long without payload in either direction counts as idle [default: 60s]
    #[arg(long, value_name = "DUR", value_parser = parse_duration, env = "LEAKTRACE_IDLE")]
    idle: Option<Duration>,
    /// Time between samples [default: 1s]
    #[arg(long, value_name = "DUR", value_parser = parse_duration, env = "LEAKTRACE_INTERVAL")]
    interval: Option<Duration>,
    /// How much of one core sampling may take, in percent: the interval stretches to keep to it; 0 for no limit [default: 1]
    #[arg(long, value_name = "PCT", env = "LEAKTRACE_CPU_BUDGET")]
    cpu_budget: Option<CpuBudget>,
    /// Only sockets that this process opened or holds; may be given more than once, as may the other filters
    #[arg(long, value_name = "N", help_heading = "Filters", env = "LEAKTRACE_PID", value_delimiter = ',')]
    pid: Vec<u32>,
    /// Only sockets of processes with this name
    #[arg(long, value_name = "NAME", help_heading = "Filters", env = "LEAKTRACE_COMM", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    comm: Vec<String>,
    /// Only sockets with this local or remote port
    #[arg(long, value_name = "N", help_heading = "Filters", env = "LEAKTRACE_PORT", value_delimiter = ',')]
    port: Vec<u16>,
    /// Only sockets whose peer is in this network
    #[arg(long, value_name = "CIDR", help_heading = "Filters", env = "LEAKTRACE_PEER", value_delimiter = ',')]
    peer: Vec<Network>,
    /// Only sockets of containers whose id begins like this
    #[arg(long, value_name = "PREFIX", help_heading = "Filters", env = "LEAKTRACE_CONTAINER", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    container: Vec<String>,
    /// Only sockets that were opened this way
    #[arg(long, value_enum, help_heading = "Filters", env = "LEAKTRACE_DIRECTION", value_delimiter = ',')]
    direction: Vec<DirectionArg>,
    /// Which kind of kernel hook to use [default: auto]
    #[arg(long, value_enum, help_heading = "Tracing", env = "LEAKTRACE_HOOKS")]
    hooks: Option<HooksArg>,
    /// Do not capture stacks
    #[arg(long, help_heading = "Tracing", env = "LEAKTRACE_NO_STACKS", num_args = 0, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    no_stacks: Option<bool>,
    /// Of a process that opens fast, capture one stack in N, such as 100: where stacks cost too much. The rest is marked
    /// "not sampled" [default: every stack]
    #[arg(long, value_name = "N", help_heading = "Tracing", value_parser = clap::value_parser!(u32).range(1..), env = "LEAKTRACE_STACK_SAMPLE")]
    stack_sample: Option<u32>,
    /// With --stack-sample, how many sockets a process opens in a second before its stacks are sampled; 0 samples those of
    /// every process [default: 1000]
    #[arg(long, value_name = "N", help_heading = "Tracing", env = "LEAKTRACE_STACK_SAMPLE_ABOVE")]
    stack_sample_above: Option<u32>,
    /// How callers are found: by frame pointers, by unwind tables, or as each process needs
    #[arg(long, value_enum, default_value = "auto", help_heading = "Tracing", env = "LEAKTRACE_UNWIND")]
    unwind: UnwindArg,
    /// Memory for symbols
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Tracing", env = "LEAKTRACE_SYMBOL_CACHE")]
    symbol_cache: Option<u64>,
    /// Look for sockets that no hook has heard of in one sample of N only, such as those that nobody has accepted; 1 always does
    /// [default: 1, or 10 where that takes more than 1ms, beside many sockets 10ms]
    #[arg(long, value_name = "N", help_heading = "Tracing", value_parser = clap::value_parser!(u32).range(1..=10_000), env = "LEAKTRACE_WALK_EVERY")]
    walk_every: Option<u32>,
    /// How many sockets are attributed at once [default: 1048576]
    #[arg(long, value_name = "N", help_heading = "Tracing", value_parser = clap::value_parser!(u32).range(1..=1 << 26), env = "LEAKTRACE_MAX_SOCKETS")]
    max_sockets: Option<u32>,
    /// Read a recording in place of the kernel, on any machine, without root; its thresholds and filters hold unless
    /// others are given
    #[arg(long, value_name = "FILE", help_heading = "Tracing", value_hint = ValueHint::FilePath)]
    replay: Option<PathBuf>,
    /// Config file [default: /etc/leaktrace.toml, if it is there]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, env = "LEAKTRACE_CONFIG")]
    config: Option<PathBuf>,
    /// Accepted from whoever is used to it: there is nothing more to say
    #[arg(short = 'v', long = "verbose", hide = true, action = clap::ArgAction::Count)]
    _verbose: u8,
}

/// Which end opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum DirectionArg {
    Connect,
    Accept,
}

/// Which unwinder names the callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum UnwindArg {
    /// By frame pointers where a process keeps them, by unwind tables elsewhere.
    Auto,
    /// By frame pointers only.
    Fp,
    /// By unwind tables only.
    Dwarf,
}

/// Which hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HooksArg(HookChoice);

impl clap::ValueEnum for HooksArg {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self(HookChoice::Auto),
            Self(HookChoice::Only(HookKind::Fentry)),
            Self(HookChoice::Only(HookKind::Kprobe)),
            Self(HookChoice::Only(HookKind::Tracepoint)),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self.0 {
            HookChoice::Auto => PossibleValue::new("auto").help("The best that attaches"),
            HookChoice::Only(kind) => PossibleValue::new(kind.name()),
        })
    }
}

/// Default of `--stack-sample-above`.
const SAMPLE_ABOVE: u32 = 1000;

/// Whether stacks are captured at all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
}

/// How stacks are captured. There is nothing to sample without stacks, or with a rate of one in one.
fn stacks(wanted: Wanted, one_in: Option<NonZeroU32>, above_per_s: Option<u32>) -> Result<Stacks, anyhow::Error> {
    match (one_in, above_per_s) {
        _ if wanted == Wanted::No => Ok(Stacks::Off),
        (None, Some(_)) => {
            bail!("--stack-sample-above says from which rate on --stack-sample applies: give that as well")
        }
        (None | Some(NonZeroU32::MIN), _) => Ok(Stacks::Capture),
        (Some(one_in), above) => Ok(Stacks::Sample(StackSample { one_in, above_per_s: above.unwrap_or(SAMPLE_ABOVE) })),
    }
}

/// A duration: from the command line, else from the config file, else the default.
fn span(given: Option<Duration>, in_file: Option<&str>, name: &str, default_s: u64) -> Result<Duration, anyhow::Error> {
    match (given, in_file) {
        (Some(given), _) => Ok(given),
        (None, Some(text)) => parse_duration(text).with_context(|| format!("the config file's {name} is wrong")),
        (None, None) => Ok(Duration::from_secs(default_s)),
    }
}

/// The kind of hook: from the command line, else from the config file, else automatic.
fn hooks(given: Option<HooksArg>, in_file: Option<&str>) -> Result<HookChoice, anyhow::Error> {
    match (given, in_file) {
        (Some(HooksArg(choice)), _) => Ok(choice),
        (None, Some(text)) => {
            let parsed = <HooksArg as clap::ValueEnum>::from_str(text, false);
            let HooksArg(choice) = parsed
                .map_err(|_| anyhow::anyhow!("the config file's hooks must be auto, fentry, kprobe or tracepoint"))?;
            Ok(choice)
        }
        (None, None) => Ok(HookChoice::Auto),
    }
}

/// Shortest interval that is accepted: each sample reads every socket of the host.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(50);

impl TryFrom<WatchArgs> for WatchConfig {
    type Error = anyhow::Error;

    fn try_from(args: WatchArgs) -> Result<Self, anyhow::Error> {
        let file = ConfigFile::read(args.config.as_deref())?;
        let interval = span(args.interval, file.interval.as_deref(), "interval", 1)?;
        if interval < SHORTEST_INTERVAL {
            bail!("--interval must be at least 50ms: each sample reads every socket of the host");
        }
        for pid in &args.pid {
            if args.replay.is_none() && !Path::new("/proc").join(pid.to_string()).exists() {
                bail!("there is no process {pid}: --pid takes the id of a running process");
            }
        }
        let hooks = hooks(args.hooks, file.hooks.as_deref())?;
        let in_file = file.cpu_budget.map(CpuBudget::try_from).transpose();
        let in_file = in_file.context("the config file's cpu-budget is wrong")?;
        let directions = args.direction.iter().map(|direction| match direction {
            DirectionArg::Connect => Direction::Connect,
            DirectionArg::Accept => Direction::Accept,
        });
        // `--stack-sample` asks for stacks, so it overrides `no-stacks` of the file.
        let none_by_file = file.no_stacks.unwrap_or(false) && args.stack_sample.is_none();
        let no_stacks = args.no_stacks.unwrap_or(none_by_file);
        let stacks = stacks(
            if no_stacks { Wanted::No } else { Wanted::Yes },
            args.stack_sample.and_then(NonZeroU32::new).or(file.stack_sample),
            args.stack_sample_above.or(file.stack_sample_above),
        )?;
        Ok(Self {
            limits: Limits {
                threshold: span(args.threshold, file.threshold.as_deref(), "threshold", 60)?,
                stall: span(args.stall, file.stall.as_deref(), "stall", 10)?,
                idle: span(args.idle, file.idle.as_deref(), "idle", 60)?,
            },
            interval,
            cpu_budget: args.cpu_budget.or(in_file).unwrap_or_default(),
            filter: Filter {
                directions: directions.collect(),
                pids: args.pid,
                comms: args.comm,
                ports: args.port,
                peers: args.peer,
                containers: args.container,
                ..Filter::default()
            },
            ignore: file.filters().map_err(anyhow::Error::msg)?,
            hooks,
            stacks,
            unwind: match args.unwind {
                UnwindArg::Auto => Unwind::Auto,
                UnwindArg::Fp => Unwind::Fp,
                UnwindArg::Dwarf => Unwind::Dwarf,
            },
            symbol_cache: args
                .symbol_cache
                .map_or(DEFAULT_CACHE_BYTES, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            walk_every: args.walk_every.and_then(NonZeroU32::new).or(file.walk_every),
            max_sockets: args.max_sockets.or(file.max_sockets).unwrap_or(1 << 20),
            // A recording keeps its own thresholds unless others are given here. Defaults do not count as given.
            replay: args.replay.map(|path| ReplayConfig {
                path,
                threshold: args.threshold,
                stall: args.stall,
                idle: args.idle,
            }),
            tree: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn sample(one_in: u32, above: Option<u32>) -> Result<Stacks, String> {
        stacks(Wanted::Yes, NonZeroU32::new(one_in), above).map_err(|error| error.to_string())
    }

    #[test]
    fn stacks_are_sampled_only_when_that_is_asked_for() {
        assert_eq!(sample(0, None), Ok(Stacks::Capture));
        assert_eq!(sample(1, Some(5)), Ok(Stacks::Capture));
        let one_in = NonZeroU32::new(100).unwrap();
        assert_eq!(sample(100, None), Ok(Stacks::Sample(StackSample { one_in, above_per_s: 1000 })));
        assert_eq!(sample(100, Some(0)), Ok(Stacks::Sample(StackSample { one_in, above_per_s: 0 })));
        assert!(stacks(Wanted::No, Some(one_in), Some(7)).is_ok_and(|stacks| stacks == Stacks::Off));
    }

    fn stacks_of(words: &[&str], file: &str) -> Stacks {
        let config = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(config.path(), file).unwrap();
        let path = config.path().to_str().unwrap();
        let line = ["leaktrace", "--config", path].into_iter().chain(words.iter().copied());
        WatchConfig::try_from(Cli::try_parse_from(line).unwrap().top.watch).unwrap().stacks
    }

    #[test]
    fn stacks_on_the_command_line_override_the_file() {
        let file = "no-stacks = true\n";
        assert_eq!(stacks_of(&[], file), Stacks::Off);
        assert_eq!(stacks_of(&["--no-stacks"], ""), Stacks::Off);
        assert_eq!(stacks_of(&["--stack-sample", "1"], file), Stacks::Capture);
        assert_eq!(stacks_of(&["--no-stacks", "--stack-sample", "7"], ""), Stacks::Off);
    }

    #[test]
    fn a_rate_alone_is_refused_with_what_is_missing() {
        assert!(sample(0, Some(7)).is_err_and(|error| error.contains("--stack-sample applies")));
    }
}
