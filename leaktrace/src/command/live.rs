//! `leaktrace top` on a terminal: the live view, fed by a watcher and with its wishes carried out aside.

use super::{
    Outcome,
    on_leak::{OnLeak, Words},
    play::play,
    replay,
};
use crate::{
    cli::TopConfig,
    watch::{Control, Each, Picture, Update, Watch},
};
use leaktrace_kernel::destroy::{self, destroy};
use leaktrace_model::{limits::Limits, target::Target};
use leaktrace_output::{Destination, write_report};
use leaktrace_tui::{self as tui, Charset, Colour, Effect, KillTarget, Notice, NoticeKind, Options, Thresholds};
use std::{
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};
use tokio::sync::mpsc::{Sender, channel};

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
    let watch = Watch::start(config.watch, Each::Show(Picture::Bearable));
    let mut watch = wait_until_started(watch)?;
    let (tell, updates) = channel(WAITING);
    let failure = Arc::new(Mutex::new(None));
    let teller = watch.teller();
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
        Effect::SetThresholds(limits) => teller.tell(Control::SetLimits(limits_of(limits))),
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

/// How the view presents itself here.
pub(super) fn options() -> Options {
    let environment = |name: &str| std::env::var(name).ok();
    let colour =
        if environment("NO_COLOR").is_some_and(|value| !value.is_empty()) { Colour::Plain } else { Colour::Palette };
    Options { charset: Charset::from_locale(environment), colour }
}

/// What the view asks to be judged by.
pub(super) fn limits_of(limits: Thresholds) -> Limits {
    let span = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    Limits { threshold: span(limits.threshold_s), stall: span(limits.stall_s), idle: span(limits.idle_s) }
}

/// Does what does not depend on where samples come from.
pub(super) fn carry_out(effect: Effect, tell: &Sender<tui::Update>) {
    match effect {
        Effect::Export { format, path, shown } => aside(tell, move || {
            let outcome = if path.exists() {
                Err(format!("{} exists already: choose another name", path.display()))
            } else {
                let destination = Destination::from_option(Some(Path::new(&path)));
                write_report(&shown.to_snapshot(), format, &destination).map_err(|error| error.to_string())
            };
            vec![match outcome {
                Ok(()) => notice(NoticeKind::Done, format!("written to {}", path.display())),
                Err(error) => notice(NoticeKind::Failed, error),
            }]
        }),
        Effect::ReverseLookup { addrs } => aside(tell, move || {
            addrs.into_iter().map(|addr| tui::Update::PeerName { name: name_of(&addr), addr }).collect()
        }),
        Effect::KillSockets { sockets } => aside(tell, move || {
            let targets: Vec<Target> = sockets.iter().filter_map(target).collect();
            let outcomes = destroy(&targets);
            let closed = outcomes.iter().filter(|outcome| **outcome == destroy::Outcome::Closed).count();
            let other = outcomes.iter().find(|outcome| **outcome != destroy::Outcome::Closed);
            let text = format!("{closed} of {} sockets closed", sockets.len());
            vec![match other {
                None if closed == sockets.len() => notice(NoticeKind::Done, text),
                None => notice(NoticeKind::Failed, text),
                Some(other) => notice(NoticeKind::Failed, format!("{text}; the first that was not: {other}")),
            }]
        }),
        // Snapshots come with names; a live kernel does not stand still; the rest is the runner's own or the source's.
        _ => {}
    }
}

pub(super) fn notice(kind: NoticeKind, text: String) -> tui::Update {
    tui::Update::Notice(Notice { kind, text })
}

/// The socket that was confirmed: its name reads `local → remote`.
fn target(confirmed: &KillTarget) -> Option<Target> {
    let mut words = confirmed.name.split_whitespace();
    let local = words.next()?.parse().ok()?;
    let remote = words.next_back()?.parse().ok()?;
    Some(Target { cookie: confirmed.cookie, netns: confirmed.netns, local, remote })
}

/// Does what may take time on a thread of its own, and tells the view what came of it.
fn aside(tell: &Sender<tui::Update>, work: impl FnOnce() -> Vec<tui::Update> + Send + 'static) {
    let tell = tell.clone();
    // Without a thread to spare there is no answer, and the view goes on.
    let _ = thread::Builder::new().spawn(move || {
        for update in work() {
            let _ = tell.blocking_send(update);
        }
    });
}

/// The name of an address, as the host's resolver knows it.
fn name_of(address: &str) -> Option<String> {
    let address: IpAddr = address.parse().ok()?;
    dns_lookup::lookup_addr(&address).ok().filter(|name| *name != address.to_string())
}
