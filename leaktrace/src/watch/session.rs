//! One watch from start to end: takes samples from a source, tracks them, and names what is shown.

use super::{
    message::{Detail, WatchError},
    namer::Namer,
    pace::Pace,
};
use crate::config::WatchConfig;
use leaktrace_kernel::{Adoption, HoldersPass, SampleRequest, StartError, Tracer, TracerOptions, Walk, host};
use leaktrace_model::{
    Degradation, Filter, HookKind, Hooks, Limits, Modules, Moment, Resolve, Sample, Severity, Shown, Snapshot, Verdicts,
};
use leaktrace_output::create_growing;
use leaktrace_recording::{Progress, Pseudonyms, Recorder, Start, WriteError};
use leaktrace_symbols::{HelperOptions, Helpers};
use leaktrace_track::{Sieve, Tracker, TrackerOptions, Tree};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// A requested recording.
#[derive(Clone, Debug)]
pub(crate) struct RecordTo {
    /// The file.
    pub path: PathBuf,
    /// Its permissions; `None` for the usual ones.
    pub mode: Option<u32>,
    /// Progress, shared with the caller.
    pub progress: Progress,
}

/// A recording that is being written, and what is left out of it.
struct Recording {
    recorder: Recorder,
    sieve: Sieve,
    pseudonyms: Pseudonyms,
}

impl Recording {
    /// Writes a sample, and leaves of it what a replay will have.
    fn write(&mut self, sample: &mut Sample, names: &mut dyn Resolve) -> Result<(), WriteError> {
        self.sieve.sift(sample);
        self.pseudonyms.replace(sample);
        self.recorder.write(sample, names)
    }
}

/// Where samples come from.
pub(crate) trait Source {
    /// Takes one sample.
    ///
    /// # Errors
    /// When sampling is no longer possible.
    fn sample(&mut self, request: &SampleRequest) -> Result<Sample, StartError>;

    /// Waits until `longest` is over or an event cannot wait for the next sample, and handles that event.
    ///
    /// # Errors
    /// When sampling is no longer possible.
    fn attend(&mut self, longest: Duration) -> Result<(), StartError>;

    /// Drops what was not used since the last call; says whether there was anything.
    fn forget_unused(&mut self) -> bool {
        false
    }

    /// Progress of the first sample, for sources where that may take long.
    fn adoption(&self) -> Option<Adoption> {
        None
    }

    /// How many processes of the followed tree run; 0 without a tree.
    fn running(&self) -> usize {
        0
    }
}

impl Source for Tracer {
    fn sample(&mut self, request: &SampleRequest) -> Result<Sample, StartError> {
        Self::sample(self, request)
    }

    fn attend(&mut self, longest: Duration) -> Result<(), StartError> {
        self.wait_for_new(longest);
        self.place_new()
    }

    fn forget_unused(&mut self) -> bool {
        Self::forget_unused(self)
    }

    fn adoption(&self) -> Option<Adoption> {
        Some(Self::adoption(self))
    }

    fn running(&self) -> usize {
        Self::running(self)
    }
}

/// A host with at most this many open sockets is shown whole, so that peers can be counted. That takes a few megabytes
/// and milliseconds.
const FEW_SOCKETS: u64 = 20_000;

/// On a host with more open sockets than this, a view does not list those that are merely long-lived: they may be all,
/// at a kilobyte each in every sample.
const MANY_SOCKETS: u64 = 50_000;

/// Bounds of the time between holders passes, which keep to the budget by themselves.
const HOLDERS_REST: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));

/// Tables of files that were not used for this long, or up to twice as long, are dropped: programs come and go, and
/// names that were found are kept without the tables. A table that is used again is read again, which takes a few
/// hundred milliseconds for the largest.
const UNUSED: Duration = Duration::from_secs(15);

/// One watch.
pub(crate) struct Session {
    source: Box<dyn Source>,
    tracker: Tracker,
    namer: Namer<Box<dyn Resolve>>,
    /// The processes that read foreign files; `None` where names come from elsewhere.
    helpers: Option<Helpers>,
    config: WatchConfig,
    started: Moment,
    next_holders: Instant,
    next_forgetting: Instant,
    pace: Pace,
    hooks: HookKind,
    recording: Option<Recording>,
}

impl Session {
    /// Starts tracing.
    ///
    /// # Errors
    /// When this host cannot do it.
    pub(crate) fn start(config: WatchConfig) -> Result<Self, StartError> {
        let helpers = HelperOptions { unwind: config.unwind, cache_bytes: config.symbol_cache };
        let helpers = Helpers::start(helpers, Modules::default());
        let options = TracerOptions {
            hooks: config.hooks,
            stacks: config.stacks,
            unwind: config.unwind,
            max_sockets: config.max_sockets,
            walk_every: config.walk_every,
            tree: config.tree,
        };
        let tracer = Tracer::start(&options, Box::new(helpers.clone()))?;
        let hooks = tracer.hooks();
        let session = Self::over(Box::new(tracer), hooks, Box::new(helpers.clone()), config);
        Ok(Self { helpers: Some(helpers), ..session })
    }

    /// Watches an existing source.
    pub(crate) fn over(source: Box<dyn Source>, hooks: HookKind, names: Box<dyn Resolve>, config: WatchConfig) -> Self {
        let started = host::now();
        let tracker = Tracker::new(TrackerOptions {
            host: host::read_host(),
            hooks: Hooks::Live(hooks),
            settings: config.settings(),
            ignore: config.ignore.clone(),
            started: Some(started),
            tree: config.tree.map(|_| Tree::default()),
        });
        let namer = Namer::new(names);
        let pace = Pace::new(config.interval, config.cpu_budget);
        let next_holders = Instant::now();
        let next_forgetting = next_holders + UNUSED;
        Self {
            source,
            tracker,
            namer,
            config,
            started,
            next_holders,
            next_forgetting,
            pace,
            hooks,
            recording: None,
            helpers: None,
        }
    }

    /// Writes every sample from now on into a recording.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn record(&mut self, to: RecordTo) -> Result<(), WatchError> {
        let config = &self.config;
        let start = Start::new(&host::read_host(), self.hooks, &config.settings(), &config.ignore, self.started);
        let file = create_growing(&to.path, to.mode)?;
        let recorder = Recorder::new(file, &to.path, &start, to.progress)?;
        let sieve = Sieve::new(self.config.filter.clone());
        self.recording = Some(Recording { recorder, sieve, pseudonyms: Pseudonyms::default() });
        Ok(())
    }

    /// Ends the recording, if there is one, and puts everything on disk.
    ///
    /// # Errors
    /// When the recording cannot be written.
    pub(crate) fn finish_recording(&mut self) -> Result<(), WriteError> {
        self.recording.take().map_or(Ok(()), |recording| recording.recorder.finish().map(drop))
    }

    /// Which hooks are attached.
    pub(crate) fn hooks(&self) -> HookKind {
        self.hooks
    }

    /// Time between samples, as the budget allows.
    pub(crate) fn interval(&self) -> Duration {
        self.pace.interval()
    }

    /// Judges by these thresholds from now on.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.config.limits = limits;
        self.tracker.set_limits(limits);
    }

    /// See [`Source::adoption`].
    pub(crate) fn adoption(&self) -> Option<Adoption> {
        self.source.adoption()
    }

    /// See [`Source::running`].
    pub(crate) fn running(&self) -> usize {
        self.source.running()
    }

    /// See [`Source::attend`].
    ///
    /// # Errors
    /// When sampling is no longer possible.
    pub(crate) fn attend(&mut self, longest: Duration) -> Result<(), StartError> {
        self.source.attend(longest)
    }

    /// Takes one sample. The last one always includes a holders pass.
    ///
    /// # Errors
    /// When sampling, or recording if that was asked for, is no longer possible.
    pub(crate) fn sample(&mut self, detail: Detail, is_last: bool) -> Result<(), WatchError> {
        let (now, cpu_before) = (Instant::now(), host::thread_cpu());
        let holders = if is_last || now >= self.next_holders { HoldersPass::Run } else { HoldersPass::Skip };
        // The count of the last sample may be old, or missing.
        let open = host::tcp_sockets().unwrap_or_else(|| self.tracker.open_sockets());
        let shown = shown_of(detail, &self.config, open);
        let left_out = (detail == Detail::Adaptive).then(|| left_out(shown)).flatten();
        let mut sample = self.source.sample(&SampleRequest {
            limits: self.config.limits,
            shown,
            walk: if is_last { Walk::Now } else { Walk::WhenDue },
            holders,
        })?;
        if holders == HoldersPass::Run {
            // A verdict that a holders pass must find needs two passes within its time.
            let (least, most) = HOLDERS_REST;
            let least = least.min(self.config.limits.stall / 2);
            self.next_holders = now + self.config.cpu_budget.interval_for(sample.cost.holders).clamp(least, most);
        }
        // Holders passes have an interval of their own.
        let (holders_cpu, walks) = (sample.cost.holders, sample.cost.walks);
        // The time between this sample and the last one was planned then.
        sample.degraded.extend(self.pace.degradation());
        sample.degraded.extend(left_out);
        if let Some(helpers) = &self.helpers {
            sample.degraded.extend(helpers.degradations());
            sample.namer = Some(helpers.health());
        }
        if let Some(recording) = &mut self.recording {
            recording.write(&mut sample, self.namer.names_mut())?;
        }
        self.namer.ingest(&mut self.tracker, sample);
        if now >= self.next_forgetting {
            self.next_forgetting = now + UNUSED;
            self.forget_unused();
        }
        self.pace.took((host::thread_cpu() - cpu_before).saturating_sub(holders_cpu), walks);
        if !is_last {
            self.pace.plan();
        }
        Ok(())
    }

    /// The current snapshot, with names.
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        let mut snapshot = self.namer.snapshot(&self.tracker);
        if let Some(helpers) = &self.helpers {
            // Naming for this snapshot may have changed it.
            let degraded = &mut snapshot.health.degraded;
            degraded.retain(|one| !Helpers::says(one));
            degraded.extend(helpers.degradations());
            degraded.sort();
            snapshot.health.namer = Some(helpers.health());
        }
        snapshot
    }

    fn forget_unused(&mut self) {
        if self.source.forget_unused() {
            host::give_memory_back();
        }
    }
}

/// Which sockets a sample shows one by one on a host with `open` open sockets.
fn shown_of(detail: Detail, config: &WatchConfig, open: u64) -> Shown {
    match detail {
        Detail::All => Shown::All,
        // Single sockets are needed to count what a filter, or an ignore entry with a port or peer, leaves.
        _ if !config.filter.is_empty() || config.ignore.iter().any(Filter::needs_sockets) => Shown::All,
        // The kernel side shows sockets of the tree only.
        _ if config.tree.is_some() => Shown::All,
        _ if open <= FEW_SOCKETS => Shown::All,
        Detail::Adaptive if open > MANY_SOCKETS => suspects(),
        Detail::Flagged | Detail::Adaptive => Shown::With(Verdicts::at_least(Severity::Info)),
        Detail::Suspects => suspects(),
    }
}

/// Sockets that are suspect or worse.
fn suspects() -> Shown {
    Shown::With(Verdicts::at_least(Severity::Suspect))
}

/// The degradation that says that merely long-lived sockets are not shown, if that is so.
fn left_out(shown: Shown) -> Option<Degradation> {
    (shown == suspects()).then_some(Degradation::LongLivedNotListed { above: MANY_SOCKETS })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn config() -> WatchConfig {
        match Cli::try_parse_from(["leaktrace", "top"]).unwrap().command {
            Some(Command::Top(args)) => args.watch.try_into().unwrap(),
            other => panic!("{other:?} is not top"),
        }
    }

    #[test]
    fn a_view_of_a_host_with_many_sockets_lists_suspects_only() {
        let rows = |detail, open| shown_of(detail, &config(), open);
        let flagged = Shown::With(Verdicts::at_least(Severity::Info));
        assert_eq!(rows(Detail::Adaptive, FEW_SOCKETS), Shown::All);
        assert_eq!(rows(Detail::Adaptive, MANY_SOCKETS), flagged);
        assert_eq!(rows(Detail::Adaptive, MANY_SOCKETS + 1), suspects());
        assert_eq!(rows(Detail::Flagged, 1_000_000), flagged);
        assert_eq!([flagged, Shown::All, suspects()].map(|rows| left_out(rows).is_some()), [false, false, true]);
    }

    #[test]
    fn a_large_host_is_shown_whole_where_rows_must_be_counted() {
        let ignoring = |ignore| shown_of(Detail::Flagged, &WatchConfig { ignore: vec![ignore], ..config() }, 100_000);
        let comms = vec!["postgres".to_owned()];
        assert_eq!(ignoring(Filter { comms: comms.clone(), ports: vec![5432], ..Filter::default() }), Shown::All);
        assert_ne!(ignoring(Filter { comms, ..Filter::default() }), Shown::All);
    }
}
