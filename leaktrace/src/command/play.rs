//! `leaktrace top --replay` on a terminal: the live view over a recording that runs, pauses or is stepped through.
//!
//! The recording is played on its own thread, so the keyboard never waits.

use super::{
    Outcome,
    effects::{carry_out, notice, options},
};
use crate::{
    config::{ReplayConfig, WatchConfig},
    watch::{Replay, Travel},
};
use leaktrace_model::Limits;
use leaktrace_tui::{self as tui, Effect, Flow, NoticeKind, ReplayState};
use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::{Sender, channel};

/// Most updates that wait for the screen.
const WAITING: usize = 16;

/// Shortest time between two frames while a recording runs fast.
const SHORTEST_FRAME: Duration = Duration::from_millis(40);

/// Longest wait for a gap in a recording, which is a time when the recorder stood still.
const LONGEST_HOLE: Duration = Duration::from_secs(5);

/// Runs the view over a recording until it ends. Must not be called from within a runtime.
///
/// # Errors
/// When the recording cannot be replayed, or the terminal fails.
pub(super) fn play(recording: &ReplayConfig, config: &WatchConfig) -> anyhow::Result<Outcome> {
    let (recording, filter) = (recording.clone(), config.filter.clone());
    // Tries to open it before the view starts, so that an error is printed on the plain terminal and stays there.
    Replay::open(&recording, &filter, Travel::Forward)?;
    let (to_view, updates) = channel(WAITING);
    let (order, orders) = mpsc::channel();
    let handle = to_view.clone();
    let player = thread::Builder::new().name("player".to_owned()).spawn(move || {
        match Replay::open(&recording, &filter, Travel::Anywhere) {
            Ok(replay) => Player::new(replay, handle).run(&orders),
            Err(error) => {
                let _ = handle.blocking_send(notice(NoticeKind::Failed, error.to_string()));
            }
        }
    })?;
    let end = tui::run(options(), updates, |effect| match Order::of(&effect) {
        // A player that has ended has reported why.
        Some(wanted) => drop(order.send(wanted)),
        None => carry_out(effect, &to_view),
    });
    drop(order);
    let _ = player.join();
    end?;
    Ok(Outcome::Done)
}

/// What a player can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Seek { index: u64, flow: Flow },
    SetFlow(Flow),
    SetSpeed(f64),
    SetLimits(Limits),
    Quit,
}

impl Order {
    fn of(effect: &Effect) -> Option<Self> {
        Some(match effect {
            Effect::ReplaySeek { index, flow } => Self::Seek { index: *index, flow: *flow },
            Effect::SetFlow(flow) => Self::SetFlow(*flow),
            Effect::ReplaySpeed(speed) => Self::SetSpeed(*speed),
            Effect::SetThresholds(limits) => Self::SetLimits(*limits),
            Effect::Quit => Self::Quit,
            _ => return None,
        })
    }
}

/// Whether the player goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Go,
    End,
}

/// Plays a recording.
struct Player {
    replay: Replay,
    flow: Flow,
    speed: f64,
    /// How many samples to take in before anything is shown again.
    goal: Option<u64>,
    /// When the next sample is due, while the recording runs.
    due: Instant,
    shown: Option<Instant>,
    to_view: Sender<tui::Update>,
}

impl Player {
    fn new(replay: Replay, to_view: Sender<tui::Update>) -> Self {
        Self { replay, flow: Flow::Running, speed: 1.0, goal: None, due: Instant::now(), shown: None, to_view }
    }

    fn run(mut self, orders: &Receiver<Order>) {
        self.advance();
        loop {
            let order = match (self.goal, self.flow) {
                (Some(_), _) => orders.recv_timeout(Duration::ZERO),
                (None, Flow::Paused) => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                (None, Flow::Running) => orders.recv_timeout(self.due.saturating_duration_since(Instant::now())),
            };
            let next = match (order, self.goal) {
                (Ok(order), _) => self.follow(order),
                (Err(RecvTimeoutError::Timeout), Some(goal)) => self.approach(goal),
                (Err(RecvTimeoutError::Timeout), None) => self.advance(),
                (Err(RecvTimeoutError::Disconnected), _) => Next::End,
            };
            if next == Next::End {
                return;
            }
        }
    }

    /// Carries out an order. The next order can interrupt a jump to another place.
    fn follow(&mut self, order: Order) -> Next {
        match order {
            Order::Quit => return Next::End,
            Order::Seek { index, flow } => {
                self.flow = flow;
                let goal = index.saturating_add(1);
                self.replay.go_before(goal);
                self.goal = Some(goal);
            }
            Order::SetLimits(limits) => {
                self.goal.get_or_insert(self.replay.taken());
                self.replay.set_limits(limits);
            }
            Order::SetFlow(flow) => self.flow = flow,
            Order::SetSpeed(speed) => self.speed = speed,
        }
        if self.goal.is_some() {
            return Next::Go;
        }
        self.schedule();
        self.show()
    }

    /// Goes one sample towards the goal and shows it there.
    fn approach(&mut self, goal: u64) -> Next {
        if self.replay.taken() < goal && self.replay.step() {
            return Next::Go;
        }
        self.goal = None;
        self.schedule();
        self.show()
    }

    /// Goes on by one sample, and shows it unless the next ones are already due.
    fn advance(&mut self) -> Next {
        self.replay.step();
        let due = self.due;
        self.schedule();
        let now = Instant::now();
        let is_late = self.flow == Flow::Running && self.due.saturating_duration_since(due) < SHORTEST_FRAME;
        if is_late && self.shown.is_some_and(|shown| now - shown < SHORTEST_FRAME) {
            return Next::Go;
        }
        self.show()
    }

    /// Decides when the next sample is due. At the end, the recording pauses.
    fn schedule(&mut self) {
        let Some(next_ns) = self.replay.next_ns() else {
            self.flow = Flow::Paused;
            return;
        };
        let gap = Duration::from_nanos(next_ns.saturating_sub(self.replay.now_ns())).min(LONGEST_HOLE);
        self.due = Instant::now() + gap.div_f64(self.speed.max(1.0 / 16.0));
    }

    fn show(&mut self) -> Next {
        self.shown = Some(Instant::now());
        let state = ReplayState {
            index: self.replay.taken().saturating_sub(1),
            count: self.replay.count(),
            speed: self.speed,
            flow: self.flow,
        };
        let trouble = self.replay.trouble().map(|trouble| notice(NoticeKind::Failed, trouble.reason().into_owned()));
        let snapshot = (self.replay.taken() > 0).then(|| tui::Update::Snapshot(Arc::new(self.replay.snapshot())));
        for update in [Some(tui::Update::Replay(state)), snapshot, trouble].into_iter().flatten() {
            if self.to_view.blocking_send(update).is_err() {
                return Next::End;
            }
        }
        Next::Go
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::Filter;
    use leaktrace_recording::synthetic::{Scale, recording};
    use std::path::Path;
    use tokio::sync::mpsc::Receiver as Updates;

    fn player(folder: &Path) -> (Player, Updates<tui::Update>) {
        let path = folder.join("recording");
        std::fs::write(&path, recording(Scale::SMALL, 20).unwrap()).unwrap();
        let config = ReplayConfig { path, ..ReplayConfig::default() };
        let (to_view, updates) = channel(1000);
        (Player::new(Replay::open(&config, &Filter::default(), Travel::Anywhere).unwrap(), to_view), updates)
    }

    #[test]
    fn of_several_places_to_go_to_the_last_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (player, mut updates) = player(folder.path());
        let (order, orders) = mpsc::channel();
        for (index, flow) in [(9, Flow::Running), (3, Flow::Paused), (7, Flow::Paused)] {
            order.send(Order::Seek { index, flow }).unwrap();
        }
        let playing = thread::spawn(move || player.run(&orders));
        let mut shown = Vec::new();
        while shown.last() != Some(&(7, Flow::Paused)) {
            if let tui::Update::Replay(state) = updates.blocking_recv().unwrap() {
                assert_eq!(state.count, Some(20));
                shown.push((state.index, state.flow));
            }
        }
        drop(order);
        playing.join().unwrap();
        assert_eq!(shown, [(0, Flow::Running), (7, Flow::Paused)]);
    }

    #[test]
    fn at_its_end_a_recording_stands_still_on_the_last_sample() {
        let folder = tempfile::tempdir().unwrap();
        let (player, mut updates) = player(folder.path());
        let (order, orders) = mpsc::channel();
        order.send(Order::SetSpeed(1024.0)).unwrap();
        let playing = thread::spawn(move || player.run(&orders));
        let mut last = ReplayState::default();
        while let Some(update) = updates.blocking_recv() {
            if let tui::Update::Replay(state) = update {
                last = state;
            }
            if last.flow == Flow::Paused {
                break;
            }
        }
        assert_eq!((last.index, last.count), (19, Some(20)));
        order.send(Order::SetFlow(Flow::Running)).unwrap();
        drop(order);
        playing.join().unwrap();
        for update in std::iter::from_fn(|| updates.blocking_recv()) {
            if let tui::Update::Replay(state) = update {
                assert_eq!((state.index, state.flow), (19, Flow::Paused));
            }
        }
    }
}
