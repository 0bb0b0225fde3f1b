//! Replays a recording: the samples that a session saw go through the same tracker.
//!
//! Has no clock: the caller says when to step. A snapshot is, byte for byte, what the live watch gave for the same
//! window; only `health.hooks` says `replay`. The cost of leaktrace itself is that of the recorder.

use super::namer::Namer;
use crate::config::ReplayConfig;
use leaktrace_kernel::judge;
use leaktrace_model::{Degradation, Filter, Hooks, Limits, Sample, SeenBy, Settings, Shown, Snapshot, VerdictCounts};
use leaktrace_output::clean;
use leaktrace_recording::{Damage, Ending, FileReader, Mark, OpenError, Recorded, RecordedNames, Start};
use leaktrace_track::{Tracker, TrackerOptions};
use std::collections::HashMap;

/// Most checkpoints. Each holds everything that was known at one place.
const MOST_CHECKPOINTS: usize = 8;

/// Most rows of all checkpoints together, at about 400 bytes each.
const MOST_ROWS: usize = 1 << 20;

/// Where a replay can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Travel {
    /// Forward only.
    Forward,
    /// Forward and back.
    Anywhere,
}

/// A recording that cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[error("{}", clean(&.0.to_string()))]
pub(crate) struct ReplayError(OpenError);

impl From<OpenError> for ReplayError {
    fn from(error: OpenError) -> Self {
        Self(error)
    }
}

/// A recording that is replayed.
pub(crate) struct Replay {
    reader: FileReader,
    tracker: Tracker,
    namer: Namer<RecordedNames>,
    recorded: Limits,
    asked: Limits,
    has_filter: bool,
    /// Whether the recording was made with other filters.
    has_other_filter: bool,
    /// A sample that has been read but not taken in.
    pending: Option<Recorded>,
    /// Samples taken in.
    taken: u64,
    count: Option<u64>,
    shows_all: bool,
    now_ns: u64,
    checkpoints: Vec<Checkpoint>,
    /// Samples between two checkpoints; `None` when the replay cannot go back.
    spacing: Option<u64>,
}

/// Everything that was known at one place of the recording.
#[derive(Clone)]
struct Checkpoint {
    taken: u64,
    mark: Mark,
    tracker: Tracker,
}

impl Replay {
    /// Opens a recording. A filter that is not empty replaces that of the recording, which holds only what its own let through.
    ///
    /// # Errors
    /// When it cannot be replayed.
    pub(crate) fn open(config: &ReplayConfig, filter: &Filter, travel: Travel) -> Result<Self, ReplayError> {
        let mut reader = FileReader::open(&config.path)?;
        let damaged = |damage| OpenError::Damaged { path: config.path.clone(), damage };
        let io = |reason| OpenError::Io { path: config.path.clone(), reason };
        let start = reader.start().clone();
        let mut options = tracker_options(&start, filter).map_err(damaged)?;
        let recorded = options.settings.limits;
        let asked = Limits {
            threshold: config.threshold.unwrap_or(recorded.threshold),
            stall: config.stall.unwrap_or(recorded.stall),
            idle: config.idle.unwrap_or(recorded.idle),
        };
        options.settings.limits = asked;
        let recorded_filter = start.settings().map_err(damaged)?.filter;
        let has_other_filter =
            reader.is_sifted() && !recorded_filter.is_empty() && options.settings.filter != recorded_filter;
        let has_filter = !options.settings.filter.is_empty() || options.ignore.iter().any(Filter::needs_sockets);
        let tracker = Tracker::new(options);
        let (count, spacing) = match travel {
            Travel::Forward => (None, None),
            Travel::Anywhere => (Some(reader.count().map_err(io)?), Some(1)),
        };
        let checkpoints = match travel {
            Travel::Forward => Vec::new(),
            Travel::Anywhere => {
                vec![Checkpoint { taken: 0, mark: reader.mark().map_err(io)?, tracker: tracker.clone() }]
            }
        };
        Ok(Self {
            reader,
            tracker,
            namer: Namer::new(RecordedNames::default()),
            recorded,
            asked,
            has_filter,
            has_other_filter,
            pending: None,
            taken: 0,
            count,
            shows_all: false,
            now_ns: 0,
            checkpoints,
            spacing,
        })
    }

    /// Samples taken in so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// How many samples there are, if known.
    pub(crate) fn count(&self) -> Option<u64> {
        self.count
    }

    /// When the last sample was taken, by `CLOCK_BOOTTIME` in nanoseconds.
    pub(crate) fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// When the watch began, by the same clock.
    pub(crate) fn started_ns(&self) -> u64 {
        self.reader.start().started().boot_ns
    }

    /// Whether the last sample shows every socket one by one.
    pub(crate) fn shows_all(&self) -> bool {
        self.shows_all
    }

    /// When the next sample was taken; `None` at the end.
    pub(crate) fn next_ns(&mut self) -> Option<u64> {
        if self.pending.is_none() {
            self.pending = self.reader.next_sample();
            if self.pending.is_none() {
                self.count = self.count.map(|_| self.taken);
            }
        }
        self.pending.as_ref().map(|recorded| recorded.sample.at.boot_ns)
    }

    /// Takes in the next sample. False at the end.
    pub(crate) fn step(&mut self) -> bool {
        let Some(at) = self.next_ns() else { return false };
        let Some(Recorded { mut sample, names }) = self.pending.take() else { return false };
        self.namer.names_mut().learn(names);
        self.judge(&mut sample);
        self.now_ns = at;
        self.namer.ingest(&mut self.tracker, sample);
        self.taken += 1;
        self.save_checkpoint();
        true
    }

    /// Goes to where `taken` samples have been taken in, or as near as the recording has one.
    #[cfg(test)]
    pub(crate) fn go_to(&mut self, taken: u64) {
        self.go_before(taken);
        while self.taken < taken.max(1) && self.step() {}
    }

    /// Goes back, if necessary, to a place from which steps lead to `taken` samples.
    pub(crate) fn go_before(&mut self, taken: u64) {
        let nearest = self.checkpoints.iter().rfind(|place| place.taken < taken.max(1));
        if taken < self.taken
            && let Some(place) = nearest.cloned()
        {
            self.restore(place);
        }
    }

    /// Judges by these thresholds from now on. Starts again at the beginning of the recording.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.asked = limits;
        self.checkpoints.truncate(1);
        self.spacing = self.spacing.map(|_| 1);
        if let Some(first) = self.checkpoints.first_mut() {
            first.tracker.set_limits(limits);
            let first = first.clone();
            self.restore(first);
        }
    }

    fn restore(&mut self, place: Checkpoint) {
        if self.reader.go_back(&place.mark).is_ok() {
            (self.tracker, self.taken, self.pending) = (place.tracker, place.taken, None);
        }
    }

    /// The current snapshot, with names.
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        let mut snapshot = self.namer.snapshot(&self.tracker);
        if let Some(trouble) = self.trouble() {
            snapshot.health.degraded.push(trouble);
            snapshot.health.degraded.sort();
        }
        snapshot
    }

    /// What is wrong with the end of the recording, once the end is reached.
    pub(crate) fn trouble(&self) -> Option<Degradation> {
        let samples = self.taken;
        match self.reader.ending()? {
            _ if self.pending.is_some() => None,
            Ending::Whole => None,
            Ending::Unfinished => Some(Degradation::RecordingUnfinished { samples }),
            Ending::Damaged(damage) => Some(Degradation::RecordingDamaged { damage: damage.to_string(), samples }),
        }
    }

    /// Judges by other thresholds than those of the recording, if every socket is there to be judged.
    fn judge(&mut self, sample: &mut Sample) {
        self.shows_all = sample.pass.shown == Shown::All;
        if self.has_filter && !self.shows_all {
            sample.degraded.push(Degradation::FiltersIncomplete);
        }
        if self.has_other_filter {
            sample.degraded.push(Degradation::FiltersRecorded);
        }
        if self.asked == self.recorded {
            return;
        }
        if !self.shows_all {
            sample.degraded.push(Degradation::ThresholdsRecorded { limits: self.recorded });
            self.tracker.set_limits(self.recorded);
            return;
        }
        self.tracker.set_limits(self.asked);
        sample.pass.limits = self.asked;
        for socket in &mut sample.sockets {
            socket.verdicts = judge(socket, &self.asked);
        }
        count_again(sample);
    }

    /// Saves a checkpoint, so that going back is quick. The longer the recording, the fewer there are.
    fn save_checkpoint(&mut self) {
        let Some(spacing) = self.spacing else { return };
        let last = self.checkpoints.last().map_or(0, |place| place.taken);
        if self.taken < last + spacing {
            return;
        }
        let Ok(mark) = self.reader.mark() else { return };
        self.checkpoints.push(Checkpoint { taken: self.taken, mark, tracker: self.tracker.clone() });
        let rows = self.checkpoints.iter().map(|place| place.mark.rows()).sum::<usize>();
        if self.checkpoints.len() > MOST_CHECKPOINTS || rows > MOST_ROWS {
            let mut keep = [true, false].into_iter().cycle();
            self.checkpoints.retain(|_| keep.next().unwrap_or(true));
            self.spacing = Some(spacing.saturating_mul(2));
        }
    }
}

/// Sums up verdicts by call site again, as a pass does. The recorded sums are by other thresholds.
fn count_again(sample: &mut Sample) {
    let mut counted: HashMap<u32, (u64, VerdictCounts)> = HashMap::new();
    // Sampling passes do not see sockets that TCP has finished with.
    for socket in sample.sockets.iter().filter(|socket| socket.seen_by == SeenBy::Sampling) {
        let (flagged, verdicts) = counted.entry(socket.callsite).or_default();
        *flagged += u64::from(!socket.verdicts.is_empty());
        verdicts.add(socket.verdicts);
    }
    for (index, site) in &mut sample.callsites {
        (site.sums.flagged, site.sums.verdicts) = counted.remove(index).unwrap_or_default();
    }
}

fn tracker_options(start: &Start, filter: &Filter) -> Result<TrackerOptions, Damage> {
    let recorded = start.settings()?;
    let filter = if filter.is_empty() { recorded.filter } else { filter.clone() };
    Ok(TrackerOptions {
        host: start.host(),
        hooks: Hooks::Replay,
        settings: Settings { filter, stack_sample: None, ..recorded },
        ignore: start.ignore()?,
        started: Some(start.started()),
        // A recording covers a whole host.
        tree: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::Verdict;
    use leaktrace_recording::synthetic::{Host, Scale, recording};
    use std::time::Duration;

    /// A replay of a recording of the made-up host, whose thresholds were 60 s, 10 s and 60 s.
    fn replay(folder: &std::path::Path, [threshold, stall, idle]: [u64; 3]) -> Replay {
        let path = folder.join("recording");
        std::fs::write(&path, recording(Scale::SMALL, 40).unwrap()).unwrap();
        let span = |seconds| Some(Duration::from_secs(seconds));
        let config = ReplayConfig { path, threshold: span(threshold), stall: span(stall), idle: span(idle) };
        Replay::open(&config, &Filter::default(), Travel::Forward).unwrap()
    }

    #[test]
    fn the_sums_of_call_sites_are_by_the_thresholds_that_were_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let spans = [8, 2, 5];
        let mut replay = replay(folder.path(), spans);
        let (mut host, mut live) = (Host::new(Scale::SMALL), Host::new(Scale::SMALL));
        let [threshold, stall, idle] = spans.map(Duration::from_secs);
        live.judge_by(Limits { threshold, stall, idle });
        let mut long_lived = 0;
        for number in 0..40 {
            let (mut sample, right) = (host.sample(), live.sample());
            replay.judge(&mut sample);
            assert_eq!(sample.callsites, right.callsites, "sample {number}");
            long_lived +=
                sample.callsites.iter().map(|(_, site)| site.sums.verdicts.get(Verdict::LongLived)).sum::<u64>();
        }
        assert!(long_lived > 0);
    }

    #[test]
    fn a_span_that_is_longer_than_ticks_can_count_flags_nothing() {
        let folder = tempfile::tempdir().unwrap();
        const YEARS: u64 = 36_000 * 86_400;
        let mut replay = replay(folder.path(), [60, YEARS, YEARS]);
        let mut sample = Host::new(Scale::SMALL).sample();
        replay.judge(&mut sample);
        assert!(sample.sockets.iter().all(|socket| !socket.verdicts.contains(Verdict::IdleUnguarded)));
    }
}
