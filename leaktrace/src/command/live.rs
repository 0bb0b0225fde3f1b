//! `leaktrace top` on a terminal: the live view, fed by a watcher and with its wishes carried out aside.

use super::{
    Outcome,
    effects::{carry_out, notice, options},
    on_leak::{OnLeak, Words},
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

/// Updates that may wait for the screen.
const WAITING: usize = 16;

/// Runs the live view until it ends. Must not be called from within a runtime.
///
/// # Errors
/// When the host cannot do it, or the terminal fails.
pub fn live(config: TopConfig) -> anyhow::Result<Outcome> {
    if let Some(recording) = &config.watch.replay {
        replay::leave_out(config.on_leak.as_deref());
        return play(recording, &config.watch);
    }
    let watch = Watch::start(config.watch, Each::Show(Detail::Bearable));
    let mut watch = wait_until_started(watch)?;
    let (tell, updates) = channel(WAITING);
    let failure = Arc::new(Mutex::new(None));
    let handle = watch.handle();
    let (snapshots, ended) = (tell.clone(), Arc::clone(&failure));
    let mut incoming = watch.take_updates();
    let complain = tell.clone();
    let mut on_leak = config.on_leak.map(|command| {
        OnLeak::new(command, Words::Nowhere, move |words| {
            // Without a view nobody is there to be told.
            let _ = complain.blocking_send(notice(NoticeKind::Failed, words));
        })
    });
    let feeder = thread::Builder::new().name("feeder".to_owned()).spawn(move || {
        while let Some(update) = incoming.blocking_recv() {
            match update {
                Update::Snapshot(snapshot) | Update::Last(snapshot) => {
                    if let Some(on_leak) = &mut on_leak {
                        on_leak.look(&snapshot);
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
        Effect::SetThresholds(limits) => handle.tell(Control::SetLimits(limits)),
        other => carry_out(other, &tell),
    });
    drop(watch);
    let _ = feeder.join();
    end?;
    match failure.lock().ok().and_then(|failure| failure.clone()) {
        Some(text) => anyhow::bail!(text),
        None => Ok(Outcome::Done),
    }
}

/// Errors of the start are said on the plain terminal, not in a view that would vanish with them.
fn wait_until_started(mut watch: Watch) -> anyhow::Result<Watch> {
    match watch.updates_mut().blocking_recv() {
        Some(Update::Failed(error)) => Err(error.into()),
        Some(_) => Ok(watch),
        None => anyhow::bail!("the sampler ended without a word; please report this"),
    }
}
