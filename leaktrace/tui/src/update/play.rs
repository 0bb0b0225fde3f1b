//! Pausing the view, and moving through a recording.

use super::take;
use crate::app::App;
use crate::app::keys::Action;
use crate::app::msg::{Effect, Flow};

const fn other(flow: Flow) -> Flow {
    match flow {
        Flow::Running => Flow::Paused,
        Flow::Paused => Flow::Running,
    }
}

/// Pauses the view, or resumes it with the newest snapshot. A recording itself is paused.
pub(crate) fn pause(app: &mut App) -> Option<Effect> {
    if let Some(replay) = &mut app.replay {
        replay.flow = other(replay.flow);
        return Some(Effect::SetFlow(replay.flow));
    }
    app.flow = other(app.flow);
    if app.flow == Flow::Running
        && let Some(data) = app.held.take()
    {
        take::show(app, data);
    }
    Some(Effect::SetFlow(app.flow))
}

/// One sample, or a tenth of the recording. Steps stop the recording.
pub(crate) fn step(app: &mut App, action: Action) -> Option<Effect> {
    let replay = app.replay.as_mut()?;
    let last = replay.count.map_or(u64::MAX, |count| count.saturating_sub(1));
    let tenth = (replay.count.unwrap_or(100) / 10).max(1);
    let to = match action {
        Action::StepBack => replay.index.saturating_sub(1),
        Action::StepForward => replay.index.saturating_add(1),
        Action::JumpBack => replay.index.saturating_sub(tenth),
        _ => replay.index.saturating_add(tenth),
    };
    replay.index = to.min(last);
    if matches!(action, Action::StepBack | Action::StepForward) {
        replay.flow = Flow::Paused;
    }
    Some(Effect::ReplaySeek { index: replay.index, flow: replay.flow })
}

/// Half the speed, or twice.
pub(crate) fn change_speed(app: &mut App, action: Action) -> Option<Effect> {
    let replay = app.replay.as_mut()?;
    let factor = if action == Action::Slower { 0.5 } else { 2.0 };
    let speed = replay.speed * factor;
    replay.speed = if speed.is_finite() && speed > 0.0 { speed.clamp(1.0 / 16.0, 1024.0) } else { 1.0 };
    Some(Effect::ReplaySpeed(replay.speed))
}
