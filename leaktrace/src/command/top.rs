//! `leaktrace top`: the live view; off a terminal, a plain table every interval.

use super::{Outcome, asked_to_end, on_leak::OnLeak, replay};
use crate::{
    cli::TopConfig,
    report::{Format, PlainTable},
    watch::{Each, Picture, Update, Watch},
};
use std::io::{self, Write};

/// Shows what is open until asked to end.
///
/// # Errors
/// When the host cannot do it, or stdout cannot be written.
pub async fn top(config: TopConfig) -> anyhow::Result<Outcome> {
    if let Some(recording) = &config.watch.replay {
        return replay::tables(recording, &config.watch).await;
    }
    let mut on_leak = config.on_leak.map(OnLeak::to_stderr);
    let mut watch = Watch::start(config.watch, Each::Show(Picture::Flagged));
    let mut end = std::pin::pin!(asked_to_end());
    loop {
        tokio::select! {
            asked = &mut end => {
                asked?;
                return Ok(Outcome::Done);
            }
            update = watch.updates_mut().recv() => match update {
                Some(Update::Snapshot(snapshot)) => {
                    if let Some(on_leak) = &mut on_leak {
                        on_leak.look(&snapshot);
                    }
                    let mut text = Vec::new();
                    PlainTable::default().write(&snapshot, &mut text)?;
                    match io::stdout().lock().write_all(&text) {
                        // Whoever read has seen enough.
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Outcome::Done),
                        other => other?,
                    }
                }
                Some(Update::Failed(error)) => return Err(error.into()),
                Some(Update::Started(_) | Update::Adopting { .. } | Update::Last(_)) => {}
                None => return Ok(Outcome::Done),
            },
        }
    }
}
