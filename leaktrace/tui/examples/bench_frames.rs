//! `bench_frames SOCKETS CALLSITES COLUMNS ROWS`: prints how long the live view takes for a frame, a key and a snapshot of a made-up
//! host, as JSON. Run by `cargo xtask bench frame`. Judges nothing.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use leaktrace_model::fixtures::busy::{Size, snapshot};
use leaktrace_tui::{App, Msg, Options, SnapshotIndex, Update, update, view};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn main() -> anyhow::Result<()> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let [sockets, callsites, columns, rows] = numbers[..] else {
        anyhow::bail!("four numbers are needed: sockets, call sites, columns, rows");
    };
    let times = bench_frames(sockets, callsites, columns.try_into()?, rows.try_into()?)?;
    let mut line = serde_json::Map::new();
    for (name, Percentiles { median, p99, max, .. }) in
        [("frame", times.frames), ("key", times.keys), ("snapshot", times.snapshots), ("derivation", times.derivations)]
    {
        for (which, time) in [("p50", median), ("p99", p99), ("max", max)] {
            line.insert(format!("{name}_{which}_ms"), (time.as_secs_f64() * 1e3).into());
        }
    }
    println!("{}", serde_json::Value::from(line));
    Ok(())
}

/// How many frames are drawn.
const FRAMES: usize = 2000;

/// How long things took.
#[derive(Clone, Copy, Debug, Default)]
struct Percentiles {
    /// Half took at most this.
    median: Duration,
    /// 99 of 100 took at most this.
    p99: Duration,
    /// The longest.
    max: Duration,
}

impl Percentiles {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
        let or_zero = |time: Option<&Duration>| time.copied().unwrap_or_default();
        Self { median: or_zero(at(50)), p99: or_zero(at(99)), max: or_zero(times.last()) }
    }
}

/// What was measured.
#[derive(Clone, Copy, Debug, Default)]
struct FrameTimes {
    /// Drawing a frame, with the escape sequences for what changed.
    frames: Percentiles,
    /// Applying a key: moves, views, orders.
    keys: Percentiles,
    /// Applying a snapshot, in each view.
    snapshots: Percentiles,
    /// Making the index of a snapshot, which another thread does.
    derivations: Percentiles,
}

/// Draws frames of a made-up host of that many listed sockets and call sites; moves, scrolls, opens details and changes views in
/// between. The terminal is a sink.
///
/// # Errors
/// Those of a sink, which has none.
fn bench_frames(sockets: usize, callsites: usize, width: u16, height: u16) -> io::Result<FrameTimes> {
    let size = Size { sockets, callsites, processes: callsites.div_ceil(10), peers: callsites.div_ceil(4) };
    let first = Arc::new(snapshot(size, 0));
    let second = Arc::new(snapshot(size, 1));
    let viewport = Viewport::Fixed(Rect { x: 0, y: 0, width, height });
    let backend = CrosstermBackend::new(io::sink());
    let mut terminal = Terminal::with_options(backend, TerminalOptions { viewport })?;
    let mut app = App::new(Options::default(), width, height);
    let (mut frames, mut keys, mut snapshots, mut derivations) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (nth, code) in sequence().into_iter().cycle().take(FRAMES).enumerate() {
        if nth % (FRAMES / 8) == 0 {
            let now = if (nth / (FRAMES / 8)).is_multiple_of(2) { &first } else { &second };
            let started = Instant::now();
            let index = Arc::new(SnapshotIndex::of(now));
            derivations.push(started.elapsed());
            let started = Instant::now();
            update(&mut app, Msg::Snapshot(Arc::clone(now), index));
            snapshots.push(started.elapsed());
            update(&mut app, Msg::Update(Update::Adopting { done: nth as u64, total: Some(FRAMES as u64) }));
        }
        let started = Instant::now();
        update(&mut app, Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        keys.push(started.elapsed());
        let started = Instant::now();
        terminal.draw(|frame| view(&app, frame))?;
        frames.push(started.elapsed());
    }
    Ok(FrameTimes {
        frames: Percentiles::of(frames),
        keys: Percentiles::of(keys),
        snapshots: Percentiles::of(snapshots),
        derivations: Percentiles::of(derivations),
    })
}

/// Keys of a user who looks around: mostly moves, each view with its detail.
fn sequence() -> Vec<KeyCode> {
    let mut keys = Vec::new();
    for view in ['1', '2', '3', '4'] {
        keys.push(KeyCode::Char(view));
        keys.extend([KeyCode::Down; 12]);
        keys.extend([KeyCode::PageDown; 12]);
        keys.push(KeyCode::Enter);
        keys.extend([KeyCode::Down; 12]);
        keys.extend([KeyCode::Esc, KeyCode::Home, KeyCode::Char('?'), KeyCode::Esc, KeyCode::Char('n')]);
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let times = Percentiles::of((1..=100).rev().map(Duration::from_millis).collect());
        assert_eq!((times.median, times.p99), (Duration::from_millis(51), Duration::from_millis(100)));
        assert_eq!(Percentiles::of(Vec::new()).max, Duration::ZERO);
    }
}
