//! Arguments of `kill`.

use super::{WatchArgs, choices::parse_fail_on};
use crate::config::WatchConfig;
use clap::Args;
use leaktrace_model::Verdicts;

/// Arguments of `kill`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo leaktrace kill --pid 4711                       list what would be closed
  sudo leaktrace kill --pid 4711 --port 5432 --yes     close it
  sudo leaktrace kill --comm api --verdict close-wait --yes
At least one filter is needed. Each call decides anew which sockets match: between a call that lists and one with --yes
others may come. With --yes the list is printed first, then exactly those sockets are closed; one that was closed or
replaced meanwhile is left alone. The other end of a closed connection gets a reset, also if it is on this host. The SSH
connection that you are using is left out.")]
pub(crate) struct KillArgs {
    /// What to look at.
    #[command(flatten)]
    pub watch: WatchArgs,
    /// Only sockets with one of these: verdicts, or severities (leak, suspect, info), or any
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_fail_on, help_heading = "Filters")]
    pub verdict: Vec<Verdicts>,
    /// Close them; without it they are only listed
    #[arg(long)]
    pub yes: bool,
    /// Close the SSH connection that leaktrace is used through too, if it matches
    #[arg(long)]
    pub include_ssh: bool,
    /// Refuse if more sockets than this match
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub max: usize,
}

/// Whether sockets are closed or listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Listed.
    List,
    /// Closed.
    Close,
}

/// What happens to the SSH connection that leaktrace is used through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ssh {
    /// It stays open.
    Spared,
    /// It is treated like the others.
    Included,
}

/// What `kill` does, checked: it has a filter.
#[derive(Clone, Debug)]
pub(crate) struct KillConfig {
    /// What to look at.
    pub watch: WatchConfig,
    /// Only sockets with one of these verdicts; all if there is none.
    pub verdicts: Verdicts,
    /// What to do with matching sockets.
    pub act: Act,
    /// Whether the SSH connection that leaktrace is used through is spared.
    pub ssh: Ssh,
    /// Refuses when more sockets than this match.
    pub max: usize,
}

impl TryFrom<KillArgs> for KillConfig {
    type Error = anyhow::Error;

    fn try_from(args: KillArgs) -> Result<Self, anyhow::Error> {
        let mut watch = WatchConfig::try_from(args.watch)?;
        let verdicts = args.verdict.into_iter().fold(Verdicts::NONE, Verdicts::or);
        if watch.filter.is_empty() && verdicts.is_empty() {
            anyhow::bail!("kill needs a filter, or it would close every connection: --pid, --port, --verdict, …");
        }
        if watch.replay.is_some() {
            anyhow::bail!("kill cannot be combined with --replay: close sockets on the live host");
        }
        // Stacks are captured when sockets open, and `kill` needs only those that are open already.
        watch.stacks = leaktrace_kernel::Stacks::Off;
        let act = if args.yes { Act::Close } else { Act::List };
        let ssh = if args.include_ssh { Ssh::Included } else { Ssh::Spared };
        Ok(Self { watch, verdicts, act, ssh, max: args.max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn config(words: &[&str]) -> Result<KillConfig, String> {
        let line = ["leaktrace", "kill"].iter().chain(words);
        match Cli::try_parse_from(line).map_err(|error| error.to_string())?.command {
            Some(Command::Kill(args)) => KillConfig::try_from(*args).map_err(|error| error.to_string()),
            other => Err(format!("{other:?} is not kill")),
        }
    }

    #[test]
    fn without_a_filter_it_is_refused() {
        assert!(config(&["--yes"]).is_err_and(|error| error.contains("needs a filter")));
        assert!(config(&["--port", "5432"]).is_ok_and(|config| config.act == Act::List && config.max == 100));
        assert!(config(&["--verdict", "leak", "--yes"]).is_ok_and(|config| config.act == Act::Close));
        assert!(config(&["--port", "22"]).is_ok_and(|config| config.ssh == Ssh::Spared));
        assert!(config(&["--port", "22", "--include-ssh"]).is_ok_and(|config| config.ssh == Ssh::Included));
    }

    #[test]
    fn an_empty_name_is_no_filter() {
        // A shell variable that is not set gives an empty value.
        for words in [["--comm", "", "--yes"], ["--container", "", "--yes"], ["--comm", "a,", "--yes"]] {
            assert!(config(&words).is_err_and(|error| error.contains("a value is required")), "{words:?}");
        }
    }

    #[test]
    fn a_recording_is_refused() {
        assert!(config(&["--port", "1", "--replay", "x"]).is_err_and(|error| error.contains("--replay")));
    }
}
