//! `leaktrace report`: watches for a while, then writes one report.

use super::{Outcome, asked_to_end, on_leak::OnLeak, replay};
use crate::{
    cli::ReportConfig,
    watch::{Control, Detail, Each, Update, Watch},
};
use leaktrace_model::{HookKind, Snapshot, Verdict, format_duration};
use leaktrace_output::{Destination, check_output, write_report};
use std::{io::Write as _, time::Duration};
use tokio::time::Instant;

/// Watches, then writes the report. A signal ends the watch early; the report is still written.
///
/// # Errors
/// When the host cannot do it, or the report cannot be written.
pub(crate) async fn report(config: ReportConfig) -> anyhow::Result<Outcome> {
    let destination = Destination::from_option(config.output.as_deref()).with_mode(config.mode);
    // Checks the path first: a typo must not cost half a minute of watching.
    check_output(&destination)?;
    // Writes the report before the hooks are detached, which takes longer. They are detached when this function
    // returns.
    let (mut snapshot, _detaching) = match &config.watch.replay {
        Some(recording) => {
            replay::leave_out(config.on_leak.as_deref());
            (replay::report(recording, &config).await?, None)
        }
        None => watch(&config).await.map(|(snapshot, watch)| (snapshot, Some(watch)))?,
    };
    let found = snapshot.has_any(config.fail_on);
    if !config.all {
        snapshot.sockets.retain(|socket| !socket.observed.verdicts.is_empty());
    }
    write_report(&snapshot, config.format, &destination)?;
    Ok(if found { Outcome::Found } else { Outcome::Done })
}

/// The last snapshot, and the watch, which only has to detach its hooks.
async fn watch(config: &ReportConfig) -> anyhow::Result<(Snapshot, Watch)> {
    // Snapshots before the last one are made only if something uses them.
    let each = match config.on_leak.is_some() || !config.until.is_empty() {
        true if config.until.contains(Verdict::LongLived) => Each::Show(Detail::Flagged),
        true => Each::Show(Detail::Suspects),
        false => Each::Remember,
    };
    let mut on_leak = config.on_leak.clone().map(OnLeak::to_stderr);
    let mut watch = Watch::start(config.watch.clone(), each);
    let detail = if config.all { Detail::All } else { Detail::Flagged };
    let mut asked = std::pin::pin!(asked_to_end());
    // The watch begins when the hooks are attached, not when the program starts.
    let mut end = std::pin::pin!(tokio::time::sleep(FAR_AWAY));
    let mut finishing = false;
    loop {
        tokio::select! {
            () = &mut end, if !finishing => {
                finishing = true;
                watch.send(Control::Finish(detail));
            }
            asked = &mut asked, if !finishing => {
                asked?;
                finishing = true;
                watch.send(Control::Finish(detail));
            }
            update = watch.updates_mut().recv() => match update {
                Some(Update::Last(snapshot)) => {
                    if let Some(on_leak) = &mut on_leak {
                        on_leak.check(&snapshot);
                    }
                    return Ok((*snapshot, watch));
                }
                Some(Update::Failed(error)) => return Err(error.into()),
                Some(Update::Started(hooks)) => {
                    announce(hooks, config.duration);
                    end.as_mut().reset(Instant::now() + config.duration);
                }
                Some(Update::Snapshot(snapshot)) => {
                    if let Some(on_leak) = &mut on_leak {
                        on_leak.check(&snapshot);
                    }
                    if !finishing && snapshot.has_any(config.until) {
                        finishing = true;
                        watch.send(Control::Finish(detail));
                    }
                }
                Some(Update::Adopting { .. }) => {}
                None => anyhow::bail!("the sampler ended without a word; please report this"),
            },
        }
    }
}

/// Longer than any start takes.
const FAR_AWAY: Duration = Duration::from_secs(86_400);

/// Prints that the watch has begun and how long it takes.
fn announce(hooks: HookKind, duration: Duration) {
    let span = format_duration(duration.as_secs_f64());
    // A closed stderr loses only this message.
    let _ = writeln!(std::io::stderr(), "leaktrace: watching with {} hooks for {span}; ^C ends it early", hooks.name());
}
