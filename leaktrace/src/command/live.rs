//! `leaktrace top` on a terminal: a watcher feeds the live view, and other threads carry out what the view asks for.

use super::{
    Outcome,
    effects::{carry_out, notice, options},
    on_leak::{CommandOutput, OnLeak},
    play::play,
    replay,
};
use crate::{
    cli::TopConfig,
    watch::{Control, Detail, Each, Update, Watch},
};
use leaktrace_tui::{self as tui, Effect, NoticeKind};
use std::{
    sync::{Arc, Mutex},
    thread,
};
use tokio::sync::mpsc::channel;

/// Most updates that wait for the screen.
const WAITING: usize = 16;

/// Runs the live view until it ends. Must not be called from within a runtime.
///
/// # Errors
/// When the host cannot do it, or the terminal fails.
pub(crate) fn live(config: TopConfig) -> anyhow::Result<Outcome> {
    if let Some(recording) = &config.watch.replay {
        replay::leave_out(config.on_leak.as_deref());
        return play(recording, &config.watch);
    }
    let watch = Watch::start(config.watch, Each::Show(Detail::Adaptive));
    let mut watch = wait_until_started(watch)?;
    let (to_view, updates) = channel(WAITING);
    let failure = Arc::new(Mutex::new(None));
    let handle = watch.handle();
    let (snapshots, ended) = (to_view.clone(), Arc::clone(&failure));
    let mut incoming = watch.take_updates();
    let notices = to_view.clone();
    let mut on_leak = config.on_leak.map(|command| {
        OnLeak::new(command, CommandOutput::Nowhere, move |message| {
            // If the view has ended, the notice is dropped.
            let _ = notices.blocking_send(notice(NoticeKind::Failed, message));
        })
    });
    let feeder = thread::Builder::new().name("feeder".to_owned()).spawn(move || {
        while let Some(update) = incoming.blocking_recv() {
            match update {
                Update::Snapshot(snapshot) | Update::Last(snapshot) => {
                    if let Some(on_leak) = &mut on_leak {
                        on_leak.check(&snapshot);
                    }
                    if snapshots.blocking_send(tui::Update::Snapshot(Arc::new(*snapshot))).is_err() {
                        return;
                    }
                }
                Update::Failed(error) => {
                    let text = error.to_string();
                    let _ = snapshots.blocking_send(notice(NoticeKind::Failed, text.clone()));
                    if let Ok(mut failure) = ended.lock() {
                        *failure = Some(text);
                    }
                    return;
                }
                Update::Adopting { done, total } => {
                    if snapshots.blocking_send(tui::Update::Adopting { done, total }).is_err() {
                        return;
                    }
                }
                Update::Started(_) => {}
            }
        }
    })?;
    let end = tui::run(options(), updates, |effect| match effect {
        Effect::SetThresholds(limits) => handle.send(Control::SetLimits(limits)),
        other => carry_out(other, &to_view),
    });
    drop(watch);
    let _ = feeder.join();
    end?;
    match failure.lock().ok().and_then(|failure| failure.clone()) {
        Some(text) => anyhow::bail!(text),
        None => Ok(Outcome::Done),
    }
}

/// Waits until the hooks are attached. An error up to there is printed on the plain terminal, because it would vanish
/// with the view.
fn wait_until_started(mut watch: Watch) -> anyhow::Result<Watch> {
    match watch.updates_mut().blocking_recv() {
        Some(Update::Failed(error)) => Err(error.into()),
        Some(_) => Ok(watch),
        None => anyhow::bail!("the sampler ended without a word; please report this"),
    }
}
