//! The live view over made-up snapshots: `cargo run -p leaktrace-tui --example tui_demo [-- MODE…]`.
//!
//! Modes: `empty`, `lossy`, `degraded`, `replay`, `adopting`, `huge`, `hostile`, `ascii`, `plain`, `panic`.

use leaktrace_model::fixtures::busy::{self, Size};
use leaktrace_model::{Glyphs, Snapshot};
use leaktrace_tui::{
    Colour, Effect, Flow, Notice, NoticeKind, Options, ReplayState, Update, check_terminal, glyphs_of_locale, run,
};
use std::sync::Arc;
use std::sync::mpsc as sync_mpsc;
use std::time::Duration;
use tokio::sync::mpsc;

fn main() -> anyhow::Result<()> {
    let modes: Vec<String> = std::env::args().skip(1).collect();
    let has = |mode: &str| modes.iter().any(|m| m == mode);
    check_terminal()?;
    let options = Options {
        glyphs: if has("ascii") { Glyphs::Ascii } else { glyphs_of_locale(|name| std::env::var(name).ok()) },
        colour: if has("plain") || std::env::var_os("NO_COLOR").is_some() { Colour::Plain } else { Colour::Palette },
    };
    if has("panic") {
        take_time_to_print();
    }
    let (updates, source) = mpsc::channel(16);
    let (effects, inbox) = sync_mpsc::channel();
    let producer = std::thread::spawn(move || produce(&modes, &updates, &inbox));
    let ended = run(options, source, move |effect| drop(effects.send(effect)));
    println!("ended: {ended:?}");
    drop(producer);
    Ok(())
}

/// Makes a panic's message take its time, as on a busy machine: the view must neither draw nor end meanwhile.
fn take_time_to_print() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        std::thread::sleep(Duration::from_millis(500));
        print(panic);
    }));
}

fn produce(modes: &[String], updates: &mpsc::Sender<Update>, inbox: &sync_mpsc::Receiver<Effect>) {
    let has = |mode: &str| modes.iter().any(|m| m == mode);
    let mut replay =
        has("replay").then_some(ReplayState { index: 0, count: Some(900), speed: 1.0, flow: Flow::Running });
    let mut tick = 0;
    let mut limits = None;
    loop {
        if has("adopting") && tick < 10 {
            let _ = updates.blocking_send(Update::Adopting { done: 100_000 * (tick + 1), total: Some(1_000_000) });
        }
        if let Some(state) = &mut replay {
            tick = state.index;
            let _ = updates.blocking_send(Update::Replay(state.clone()));
        }
        if !(has("adopting") && tick < 3) {
            let mut now = make(modes, tick);
            now.settings.limits = limits.unwrap_or(now.settings.limits);
            if updates.blocking_send(Update::Snapshot(Arc::new(now))).is_err() {
                return;
            }
        }
        assert!(!(has("panic") && tick == 3), "a panic on another thread, as asked for");
        let pace = replay.as_ref().map_or(1.0, |state| state.speed);
        match inbox.recv_timeout(Duration::from_secs_f64(1.0 / pace)) {
            Ok(Effect::ReplaySeek { index, flow }) => {
                replay.iter_mut().for_each(|state| (state.index, state.flow) = (index, flow));
            }
            Ok(Effect::ReplaySpeed(speed)) => replay.iter_mut().for_each(|state| state.speed = speed),
            Ok(Effect::SetFlow(flow)) => replay.iter_mut().for_each(|state| state.flow = flow),
            Ok(Effect::SetThresholds(chosen)) => limits = Some(chosen),
            Ok(Effect::Quit) | Err(sync_mpsc::RecvTimeoutError::Disconnected) => return,
            Ok(Effect::ReverseLookup { addresses }) => {
                for address in addresses {
                    let name = Some(format!("host-{}.example.net", address.to_string().replace(['.', ':'], "-")));
                    let _ = updates.blocking_send(Update::PeerName { address, name });
                }
            }
            Ok(Effect::Export { format, path, shown }) => {
                let part = shown.to_snapshot();
                let text = format!(
                    "Would write {} call sites and {} sockets as {} to {}",
                    part.callsites.len(),
                    part.sockets.len(),
                    format.name(),
                    path.display()
                );
                let _ = updates.blocking_send(Update::Notice(Notice { kind: NoticeKind::Done, text }));
            }
            Ok(Effect::KillSockets { sockets }) => {
                let text = format!("Would have closed {} sockets", sockets.len());
                let _ = updates.blocking_send(Update::Notice(Notice { kind: NoticeKind::Done, text }));
            }
            Ok(_) => {}
            Err(sync_mpsc::RecvTimeoutError::Timeout) => match &mut replay {
                Some(state) if state.flow == Flow::Running => state.index = (state.index + 1).min(899),
                Some(_) => {}
                None => tick += 1,
            },
        }
    }
}

fn make(modes: &[String], tick: u64) -> Snapshot {
    let has = |mode: &str| modes.iter().any(|m| m == mode);
    let size = if has("empty") {
        Size { sockets: 0, callsites: 0, processes: 0, peers: 0 }
    } else if has("huge") {
        Size { sockets: 300_000, callsites: 10_000, processes: 1000, peers: 2500 }
    } else {
        Size::SMALL
    };
    let mut now = busy::snapshot(size, tick);
    if has("lossy") {
        now = busy::lossy(now);
    }
    if has("degraded") {
        now = busy::degraded(now);
    }
    if has("hostile") {
        for site in &mut now.callsites {
            site.comm = "e\x1b[31mvil\n\u{202e}".to_owned();
        }
    }
    now
}
