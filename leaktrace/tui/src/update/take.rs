//! Applying what the source sends: snapshots, progress, the state of a replay, answers.

use super::list;
use crate::app::msg::{Flow, Update};
use crate::app::{Adopting, App, Rates};
use crate::rows::data::Data;
use crate::rows::history::{History, Whose};
use leaktrace_model::Snapshot;

/// How many rows of each kind get a curve, the worst first: call sites, processes, peers.
const CURVES: [usize; 3] = [12_288, 2048, 2048];

/// A snapshot: shown at once, or kept until later while the view is paused.
pub(crate) fn snapshot(app: &mut App, data: Data) {
    let newest = app.held.as_ref().or(app.data.as_ref()).map(|old| &*old.snapshot);
    if newest.is_none_or(|old| old.window != data.snapshot.window) {
        app.rates = rates(newest, &data.snapshot);
        let elapsed_s = elapsed(newest, &data.snapshot);
        if newest.is_some_and(|old| old.window.end.unix_ns > data.snapshot.window.end.unix_ns) {
            app.history = History::default();
        }
        record(&mut app.history, &data.snapshot, elapsed_s);
    }
    let same = app.data.as_ref().is_none_or(|shown| shown.snapshot.window == data.snapshot.window);
    if app.flow == Flow::Paused && !same {
        app.held = Some(data);
    } else {
        show(app, data);
    }
}

/// Puts data on the screen.
pub(crate) fn show(app: &mut App, data: Data) {
    let limits = data.snapshot.settings.limits;
    app.initial.get_or_insert(limits);
    if app.chosen == Some(limits) {
        app.chosen = None;
    }
    app.data = Some(data);
    list::rebuild(app);
}

/// Every update that is not a snapshot.
pub(crate) fn other(app: &mut App, update: Update) {
    match update {
        Update::Snapshot(_) => {}
        Update::Adopting { done, total } => {
            app.adopting = (total != Some(done)).then_some(Adopting { done, total });
        }
        Update::Replay(state) => app.replay = Some(state),
        Update::PeerName { address, name } => app.names.learn(address, name),
        Update::Notice(notice) => app.notice = Some(notice),
    }
}

/// Time from one snapshot to the next, in seconds.
fn elapsed(before: Option<&Snapshot>, now: &Snapshot) -> f64 {
    let same_start = before.filter(|before| before.window.start == now.window.start);
    let grown = same_start.map(|before| now.window.seconds() - before.window.seconds());
    grown.filter(|seconds| *seconds > 0.0).unwrap_or(now.settings.interval.as_secs_f64())
}

/// Rates between two snapshots of one window; if the window has moved, the average over it.
fn rates(before: Option<&Snapshot>, now: &Snapshot) -> Rates {
    let Some(before) = before else { return Rates::default() };
    let seconds = elapsed(Some(before), now);
    let same_start = before.window.start == now.window.start;
    let rate = |old: u64, new: u64| match new.checked_sub(old) {
        Some(more) if same_start && seconds > 0.0 => Some(more as f64 / seconds),
        _ if now.window.seconds() > 0.0 => Some(new as f64 / now.window.seconds()),
        _ => None,
    };
    let cpu = now.health.cpu.zip(before.health.cpu);
    let cpu = cpu.map(|(new, old)| (new.as_secs_f64() - old.as_secs_f64()) / seconds);
    Rates {
        opened: rate(before.totals.opened, now.totals.opened),
        closed: rate(before.totals.closed, now.totals.closed),
        cpu: cpu.filter(|share| share.is_finite() && *share >= 0.0),
    }
}

fn record(history: &mut History, now: &Snapshot, elapsed_s: f64) {
    history.advance(elapsed_s, now.totals.sums.open);
    for site in now.callsites.iter().take(CURVES[0]) {
        history.note(Whose::Callsite(site.id), site.sums.open);
    }
    for process in now.processes.iter().take(CURVES[1]) {
        history.note(Whose::Process(process.pid), process.open);
    }
    for group in now.peers.iter().take(CURVES[2]) {
        history.note(Whose::Group(group.key), group.sums.open);
    }
}
