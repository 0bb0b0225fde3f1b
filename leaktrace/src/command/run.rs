//! `leaktrace run`: runs one command and watches it from its first instruction to its end. stdin, stdout, stderr,
//! signals and exit status are the command's own. leaktrace writes to stderr when the command has ended.

mod child;
mod signals;

use super::{Outcome, owner::Owner};
use crate::{
    cli::{FailOn, RunConfig},
    watch::{Control, Detail, Each, Update, Watch},
};
use child::Held;
use leaktrace_model::{Run, Snapshot, Totals, format_counted};
use leaktrace_output::{Caller, Destination, ReportFormat, check_output, write_report};
use signals::{Ended, Event, Signals};
use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::Path,
};
use tokio::sync::mpsc::UnboundedReceiver;

/// Runs the command, then reports.
///
/// # Errors
/// When the host cannot do it, in which case the command was not started, or the report cannot be written.
pub(crate) async fn run(config: RunConfig) -> anyhow::Result<Outcome> {
    let destination = match config.output.as_deref() {
        Some(path) => Destination::from_option(Some(path)).with_mode(config.mode),
        None => Destination::Stderr,
    };
    check_output(&destination)?;
    let signals = Signals::hold()?;
    let owner = Owner::find(config.user.as_deref(), &Caller::of_this_process())?;
    let held = Held::fork(&config.command, signals.mask(), owner)?;
    let pid = held.pid();
    let mut watch_config = config.watch.clone();
    watch_config.tree = Some(pid);
    // If the watch does not start, the held process is dropped and ends before it becomes the command.
    let mut watch = Watch::start(watch_config, Each::Remember);
    wait_until_started(&mut watch).await?;
    if let Err(error) = held.release() {
        return Ok(Outcome::Status(refuse(&config.command, &error)));
    }
    let mut events = signals.pass_on(pid)?;
    let (ended, snapshot) = wait_for_end(&config, &mut watch, &mut events).await?;
    let judgement = snapshot.and_then(|snapshot| write_outcome(&config, &destination, ended, snapshot));
    // The report comes first: detaching the hooks takes longer.
    drop(watch);
    Ok(match judgement {
        Ok(Judgement::Leaked) => Outcome::Found,
        Ok(Judgement::AsItEnded) => Outcome::Status(ended.status()),
        // A failure of the command matters more than one of leaktrace.
        Err(error) if ended.status() != 0 => {
            say(&format!("{error:#}"));
            Outcome::Status(ended.status())
        }
        Err(error) => return Err(error),
    })
}

/// Result of a run.
enum Judgement {
    /// The command succeeded, and something matched `--fail-on`.
    Leaked,
    /// The command's own exit status is passed on.
    AsItEnded,
}

/// Writes the report and judges the run.
fn write_outcome(
    config: &RunConfig,
    destination: &Destination,
    ended: Ended,
    mut snapshot: Snapshot,
) -> anyhow::Result<Judgement> {
    let totals = snapshot.totals;
    let Some(run) = &mut snapshot.run else { anyhow::bail!("the sampler has followed no tree; please report this") };
    run.command = config.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    run.exit_status = Some(ended.status().into());
    run.signal = match ended {
        Ended::Exited(_) => None,
        Ended::Killed(signal) => Some((signal as i32).cast_unsigned()),
    };
    let leaked = ended.status() == 0 && matches(run, config.fail_on);
    if *destination == Destination::Stderr && config.format == ReportFormat::Text && is_clean(run) {
        say(&clean_words(run, &totals));
    } else {
        write_report(&snapshot, config.format, destination)?;
    }
    Ok(if leaked { Judgement::Leaked } else { Judgement::AsItEnded })
}

async fn wait_until_started(watch: &mut Watch) -> anyhow::Result<()> {
    match watch.updates_mut().recv().await {
        Some(Update::Failed(error)) => Err(error.into()),
        Some(_) => Ok(()),
        None => anyhow::bail!("the sampler ended without a word; please report this"),
    }
}

/// Waits until the command has ended and the last sample has arrived. If sampling fails meanwhile, the command still
/// runs to its end.
async fn wait_for_end(
    config: &RunConfig,
    watch: &mut Watch,
    events: &mut UnboundedReceiver<Event>,
) -> anyhow::Result<(Ended, anyhow::Result<Snapshot>)> {
    let mut ended = None;
    let mut outcome = None;
    loop {
        if let Some(ended) = ended
            && let Some(outcome) = outcome.take()
        {
            return Ok((ended, outcome));
        }
        tokio::select! {
            event = events.recv() => match event {
                Some(Event::Ended(how)) => {
                    ended = Some(how);
                    watch.send(Control::FinishAlone(Detail::All, config.wait));
                }
                Some(Event::AskedToEnd) => watch.send(Control::Finish(Detail::All)),
                None => anyhow::bail!("the thread that waits for the command ended early; please report this"),
            },
            update = watch.updates_mut().recv(), if outcome.is_none() => match update {
                Some(Update::Last(snapshot)) => outcome = Some(Ok(*snapshot)),
                Some(Update::Failed(error)) => outcome = Some(Err(error.into())),
                Some(_) => {}
                None => outcome = Some(Err(anyhow::anyhow!("the sampler ended without a word; please report this"))),
            },
        }
    }
}

/// Prints why the command cannot run, and returns the exit status that a shell would give.
fn refuse(command: &[OsString], error: &io::Error) -> u8 {
    let name = command.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    let name = leaktrace_output::clean(&name);
    if error.kind() == io::ErrorKind::NotFound {
        let is_path = name.contains('/');
        let advice = if is_path && Path::new(&*name).exists() {
            "the interpreter that it names is not there"
        } else if is_path {
            "there is no such file"
        } else {
            "there is no such command in PATH"
        };
        say(&format!("cannot run {name}: {advice}"));
        return 127;
    }
    say(&format!("cannot run {name}: {error}"));
    126
}

fn matches(run: &Run, fail_on: FailOn) -> bool {
    (fail_on.left_open && run.leaked() > 0)
        || run.verdicts.iter().any(|(verdict, _)| fail_on.verdicts.contains(verdict))
}

/// Whether there is nothing to report.
fn is_clean(run: &Run) -> bool {
    run.left_open_total == 0 && run.verdicts.is_empty()
}

fn clean_words(run: &Run, totals: &Totals) -> String {
    let processes = format_counted(run.processes_total, "process");
    let running = match run.processes_running {
        0 => String::new(),
        running => {
            let open = totals.sums.open;
            format!(
                "; {} still running with {} open",
                format_counted(running, "process"),
                format_counted(open, "socket")
            )
        }
    };
    let opened = format_counted(totals.opened, "socket");
    format!("nothing was left open: {processes}, {opened} opened{running}")
}

fn say(words: &str) {
    // A closed stderr loses only this message.
    let _ = writeln!(io::stderr(), "leaktrace: {words}");
}
