//! `leaktrace top` without a terminal: a plain table every interval.

use super::{
    Outcome, asked_to_end,
    on_leak::OnLeak,
    print::{Reader, print},
    replay,
};
use crate::{
    cli::TopConfig,
    watch::{Detail, Each, Update, Watch},
};
use leaktrace_output::{Format, PlainTable};

/// Prints tables until asked to end.
///
/// # Errors
/// When the host cannot do it, or stdout cannot be written.
pub(crate) async fn top(config: TopConfig) -> anyhow::Result<Outcome> {
    if let Some(recording) = &config.watch.replay {
        replay::leave_out(config.on_leak.as_deref());
        return replay::tables(recording, &config.watch).await;
    }
    let on_leak = config.on_leak.map(OnLeak::to_stderr);
    // Tables show call sites, which the kernel side sums up. Sockets that are merely long-lived, maybe a million, need
    // no row.
    let mut watch = Watch::start(config.watch, Each::Show(Detail::Suspects));
    tokio::select! {
        asked = asked_to_end() => {
            asked?;
            Ok(Outcome::Done)
        }
        outcome = tables(&mut watch, on_leak) => outcome,
    }
}

/// Prints a table for every sample.
async fn tables(watch: &mut Watch, mut on_leak: Option<OnLeak>) -> anyhow::Result<Outcome> {
    loop {
        match watch.updates_mut().recv().await {
            Some(Update::Snapshot(snapshot)) => {
                if let Some(on_leak) = &mut on_leak {
                    on_leak.check(&snapshot);
                }
                let mut text = Vec::new();
                PlainTable::default().write(&snapshot, &mut text)?;
                if print(text).await? == Reader::Gone {
                    return Ok(Outcome::Done);
                }
            }
            Some(Update::Failed(error)) => return Err(error.into()),
            Some(Update::Started(_) | Update::Adopting { .. } | Update::Last(_)) => {}
            None => anyhow::bail!("the sampler ended without a word; please report this"),
        }
    }
}
