//! One watch of a recording: the samples that a session saw, through the same tracker.
//!
//! Has no clock: whoever replays says when to step. What it gives for a window is, byte for byte, what the live watch gave
//! for it; only `health.hooks` says `replay`. What leaktrace itself took is what the recorder took.

use super::Namer;
use crate::config::ReplayConfig;
use leaktrace_common::{PassSettings, Verdict, Verdicts, emit, row_flags, span_from_ns};
use leaktrace_model::{
    filter::Filter,
    limits::Limits,
    sample::Sample,
    snapshot::{Degradation, Settings, Snapshot},
};
use leaktrace_output::{clean, units::format_duration};
use leaktrace_recording::{
    Ending, Mark, OpenError, RecordedNames, assemble::Recorded, frame::Damage, read::FileReader, wire::Start,
};
use leaktrace_track::{Tracker, TrackerOptions};
use std::{collections::HashMap, time::Duration};

/// Places that are remembered to go back to; each holds all that was known there.
const MOST_REMEMBERED: usize = 8;

/// Rows that all of them hold together, at about 400 bytes each.
const MOST_ROWS: usize = 1 << 20;

/// Whether it can be gone back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Travel {
    /// From the beginning to the end, once.
    Onward,
    /// Anywhere.
    AnyWay,
}

/// A recording that cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[error("{}", clean(&.0.to_string()))]
pub struct ReplayError(OpenError);

impl From<OpenError> for ReplayError {
    fn from(error: OpenError) -> Self {
        Self(error)
    }
}

/// A recording that is replayed.
pub struct Replay {
    reader: FileReader,
    tracker: Tracker,
    namer: Namer<RecordedNames>,
    recorded: Limits,
    interval: Duration,
    asked: Limits,
    has_filter: bool,
    /// A sample that has been read and not been taken in.
    pending: Option<Recorded>,
    /// Samples taken in.
    taken: u64,
    count: Option<u64>,
    shows_all: bool,
    now_ns: u64,
    remembered: Vec<Remembered>,
    /// Samples between two of them; `None` when there is no way back.
    spacing: Option<u64>,
}

/// All that was known at one place of the recording.
#[derive(Clone)]
struct Remembered {
    taken: u64,
    mark: Mark,
    tracker: Tracker,
}

impl Replay {
    /// Opens a recording. A filter that is not empty replaces that of the recording.
    ///
    /// # Errors
    /// When it cannot be replayed.
    pub fn open(config: &ReplayConfig, filter: &Filter, travel: Travel) -> Result<Self, ReplayError> {
        let mut reader = FileReader::open(&config.path)?;
        let damaged = |damage| OpenError::Damaged { path: config.path.clone(), damage };
        let io = |reason| OpenError::Io { path: config.path.clone(), reason };
        let start = reader.start().clone();
        let [threshold, stall, idle, interval] = start.spans();
        let recorded = Limits { threshold, stall, idle };
        let asked = Limits {
            threshold: config.threshold.unwrap_or(threshold),
            stall: config.stall.unwrap_or(stall),
            idle: config.idle.unwrap_or(idle),
        };
        let options = tracker_options(start, filter).map_err(damaged)?;
        let has_filter = !options.filter.is_empty() || options.ignore.iter().any(Filter::needs_sockets);
        let mut tracker = Tracker::new(options);
        tracker.set_settings(settings(asked, interval));
        let (count, spacing) = match travel {
            Travel::Onward => (None, None),
            Travel::AnyWay => (Some(reader.count().map_err(io)?), Some(1)),
        };
        let remembered = match travel {
            Travel::Onward => Vec::new(),
            Travel::AnyWay => {
                vec![Remembered { taken: 0, mark: reader.mark().map_err(io)?, tracker: tracker.clone() }]
            }
        };
        Ok(Self {
            reader,
            tracker,
            namer: Namer::new(RecordedNames::default()),
            recorded,
            interval,
            asked,
            has_filter,
            pending: None,
            taken: 0,
            count,
            shows_all: false,
            now_ns: 0,
            remembered,
            spacing,
        })
    }

    /// Samples taken in so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// How many there are, where that is known.
    pub fn count(&self) -> Option<u64> {
        self.count
    }

    /// When the last sample was taken, by `CLOCK_BOOTTIME` in nanoseconds.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// When the watch began, by the same clock.
    pub fn started_ns(&self) -> u64 {
        self.reader.start().started_boot_ns
    }

    /// Whether the last sample has every socket one by one.
    pub fn shows_all(&self) -> bool {
        self.shows_all
    }

    /// When the next sample was taken; `None` at the end.
    pub fn next_ns(&mut self) -> Option<u64> {
        if self.pending.is_none() {
            self.pending = self.reader.next_sample();
            if self.pending.is_none() {
                self.count = self.count.map(|_| self.taken);
            }
        }
        self.pending.as_ref().map(|recorded| recorded.sample.boot_ns)
    }

    /// Takes in the next sample. False at the end.
    pub fn step(&mut self) -> bool {
        let Some(at) = self.next_ns() else { return false };
        let Some(Recorded { mut sample, names }) = self.pending.take() else { return false };
        self.namer.names_mut().learn(names);
        self.judge(&mut sample);
        self.now_ns = at;
        self.namer.ingest(&mut self.tracker, sample);
        self.taken += 1;
        self.remember();
        true
    }

    /// Goes to the moment when so many samples have been taken in, or as near as the recording has one.
    #[cfg(test)]
    pub fn go_to(&mut self, taken: u64) {
        self.go_before(taken);
        while self.taken < taken.max(1) && self.step() {}
    }

    /// Goes back, if need be, to where so many samples lie ahead; steps lead there.
    pub fn go_before(&mut self, taken: u64) {
        let nearest = self.remembered.iter().rfind(|place| place.taken < taken.max(1));
        if taken < self.taken
            && let Some(place) = nearest.cloned()
        {
            self.restore(place);
        }
    }

    /// Judges by these thresholds from now on, which is the beginning of the recording.
    pub fn set_limits(&mut self, limits: Limits) {
        self.asked = limits;
        self.remembered.truncate(1);
        self.spacing = self.spacing.map(|_| 1);
        if let Some(first) = self.remembered.first_mut() {
            first.tracker.set_settings(settings(limits, self.interval));
            let first = first.clone();
            self.restore(first);
        }
    }

    fn restore(&mut self, place: Remembered) {
        if self.reader.go_back(&place.mark).is_ok() {
            (self.tracker, self.taken, self.pending) = (place.tracker, place.taken, None);
        }
    }

    /// What is known now, with names.
    pub fn snapshot(&mut self) -> Snapshot {
        let mut snapshot = self.namer.snapshot(&self.tracker);
        if let Some(reason) = self.trouble() {
            snapshot.health.degraded.push(Degradation { feature: "recording".to_owned(), reason });
            snapshot.health.degraded.sort();
        }
        snapshot
    }

    /// What is wrong with the end of the recording, once it is reached.
    pub fn trouble(&self) -> Option<String> {
        let taken = leaktrace_output::units::format_counted(self.taken, "sample");
        match self.reader.ending()? {
            _ if self.pending.is_some() => None,
            Ending::Whole => None,
            Ending::Unfinished => Some(format!(
                "the recording has no end: it was cut off, or is still being written; it was replayed up to there, {taken}"
            )),
            Ending::Damaged(damage) => {
                Some(format!("the recording is damaged: {damage}; it was replayed up to there, {taken}"))
            }
        }
    }

    /// Finds verdicts by other thresholds than those of the recording, where every socket is there to be judged.
    fn judge(&mut self, sample: &mut Sample) {
        self.shows_all = sample.limits.emit & emit::ALL != 0;
        let mut missing = |feature: &str, what: &str| {
            let reason = format!("the recording has only flagged sockets one by one, as many were open: {what}");
            sample.degraded.push(Degradation { feature: feature.to_owned(), reason });
        };
        if self.has_filter && !self.shows_all {
            missing("filters", "what matches is at least this");
        }
        if self.asked == self.recorded {
            return;
        }
        if !self.shows_all {
            let Limits { threshold, stall, idle } = self.recorded;
            let [threshold, stall, idle] = [threshold, stall, idle].map(|span| format_duration(span.as_secs_f64()));
            missing(
                "thresholds",
                &format!(
                    "verdicts are by those of the recording, --threshold {threshold} --stall {stall} --idle {idle}"
                ),
            );
            self.tracker.set_settings(settings(self.recorded, self.interval));
            return;
        }
        self.tracker.set_settings(settings(self.asked, self.interval));
        let nanoseconds = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        sample.limits = PassSettings {
            threshold_ns: nanoseconds(self.asked.threshold),
            stall: span_from_ns(nanoseconds(self.asked.stall)),
            idle: span_from_ns(nanoseconds(self.asked.idle)),
            ..sample.limits
        };
        for row in &mut sample.sockets {
            row.verdicts = Verdicts::of(row, &sample.limits).0;
        }
        count_again(sample);
    }

    /// Remembers this place, so that going back to it is quick; the longer the recording, the fewer of them.
    fn remember(&mut self) {
        let Some(spacing) = self.spacing else { return };
        let last = self.remembered.last().map_or(0, |place| place.taken);
        if self.taken < last + spacing {
            return;
        }
        let Ok(mark) = self.reader.mark() else { return };
        self.remembered.push(Remembered { taken: self.taken, mark, tracker: self.tracker.clone() });
        let rows = self.remembered.iter().map(|place| place.mark.rows()).sum::<usize>();
        if self.remembered.len() > MOST_REMEMBERED || rows > MOST_ROWS {
            let mut keep = [true, false].into_iter().cycle();
            self.remembered.retain(|_| keep.next().unwrap_or(true));
            self.spacing = Some(spacing.saturating_mul(2));
        }
    }
}

/// Sums up verdicts by call site as a pass does, whose own sums are by other thresholds.
fn count_again(sample: &mut Sample) {
    let mut counted: HashMap<u32, (u32, [u32; Verdict::COUNT])> = HashMap::new();
    // Passes over sockets do not come upon those that TCP has finished with.
    for row in sample.sockets.iter().filter(|row| row.flags & row_flags::FROM_HOLDER == 0) {
        let (flagged, verdicts) = counted.entry(row.callsite).or_default();
        *flagged += u32::from(row.verdicts != 0);
        for verdict in Verdicts(row.verdicts).iter() {
            verdicts[verdict as usize] += 1;
        }
    }
    for (index, site) in &mut sample.callsites {
        (site.sums.flagged, site.sums.verdicts) = counted.remove(index).unwrap_or_default();
    }
}

fn settings(limits: Limits, interval: Duration) -> Settings {
    Settings {
        threshold_s: limits.threshold.as_secs_f64(),
        stall_s: limits.stall.as_secs_f64(),
        idle_s: limits.idle.as_secs_f64(),
        interval_s: interval.as_secs_f64(),
        ..Settings::default()
    }
}

fn tracker_options(start: Start, filter: &Filter) -> Result<TrackerOptions, Damage> {
    let (host, started) = (start.host(), start.started());
    let recorded = Filter::try_from(start.filter)?;
    Ok(TrackerOptions {
        host,
        hooks: "replay".to_owned(),
        settings: Settings::default(),
        filter: if filter.is_empty() { recorded } else { filter.clone() },
        ignore: start.ignore.into_iter().map(Filter::try_from).collect::<Result<_, _>>()?,
        started: Some(started),
        // A recording is of a whole host.
        tree: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_recording::synthetic::{Host, Scale, recording};

    /// A replay of a recording of the made-up host, which judged by 60 s, 10 s and 60 s.
    fn replay(folder: &std::path::Path, [threshold, stall, idle]: [u64; 3]) -> Replay {
        let path = folder.join("recording");
        std::fs::write(&path, recording(Scale::SMALL, 40).unwrap()).unwrap();
        let span = |seconds| Some(Duration::from_secs(seconds));
        let config = ReplayConfig { path, threshold: span(threshold), stall: span(stall), idle: span(idle) };
        Replay::open(&config, &Filter::default(), Travel::Onward).unwrap()
    }

    #[test]
    fn the_sums_of_call_sites_are_by_the_thresholds_that_were_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let spans = [8, 2, 5];
        let mut replay = replay(folder.path(), spans);
        let (mut host, mut live) = (Host::new(Scale::SMALL), Host::new(Scale::SMALL));
        live.judge_by(spans);
        let mut long_lived = 0;
        for number in 0..40 {
            let (mut sample, right) = (host.sample(), live.sample());
            replay.judge(&mut sample);
            assert_eq!(sample.callsites, right.callsites, "sample {number}");
            let aged = |site: &leaktrace_common::CallsiteCounters| site.sums.verdicts[Verdict::LongLived as usize];
            long_lived += sample.callsites.iter().map(|(_, site)| aged(site)).sum::<u32>();
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
        assert_eq!((sample.limits.stall, sample.limits.idle), (u32::MAX, u32::MAX));
    }
}
