//! The tracer's half: asks the namer, waits a limited time, and replaces a namer that died or is late.

use super::{
    bans::{Bans, Failure, Patience},
    message::{Request, Response, Site, Translation, WireLocation},
    spawn::{Ending, Pair},
};
use crate::{
    cache::{FrameCache, Key},
    symbolizer::{finish, generated, nameless},
    work::Subject,
};
use leaktrace_model::{
    CallsiteStack, Degradation, Frame, Location, ModuleKind, Modules, NamerHealth, NewSite, Place, Resolve, Role,
    StackQuality, StackReason, Unwind,
};
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Longest wait for the answer to one request: more than the 2 s that naming an address may take (`dwarf/budget.rs`).
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// Most helpers that were ended and are still there: they wait for a file system that does not answer.
const MOST_ENDING: usize = 4;

/// Most times that a request is asked. After a file has ended the helper, it is asked again without that file.
const MOST_TRIES: usize = 4;

/// How stacks are placed and named.
#[derive(Clone, Debug)]
pub struct HelperOptions {
    /// Which unwinder finds callers.
    pub unwind: Unwind,
    /// Bytes of memory for names and tables of symbols.
    pub cache_bytes: usize,
}

/// The tracer's line to the processes that read foreign files. A handle: clones share the line.
#[derive(Clone)]
pub struct Helpers(Arc<Mutex<Client>>);

impl Helpers {
    /// Starts the helper processes. If that fails, stacks stay without places and names, and [`Self::health`] says why.
    pub fn start(options: HelperOptions, modules: Modules) -> Self {
        let frames = FrameCache::new(options.cache_bytes / 4);
        let mut client = Client {
            options,
            modules,
            running: None,
            ending: Vec::new(),
            bans: Bans::default(),
            patience: Patience::default(),
            frames,
            restarts: 0,
            failed: None,
        };
        client.run();
        Self(Arc::new(Mutex::new(client)))
    }

    /// How the helpers are doing.
    pub fn health(&self) -> NamerHealth {
        let client = self.client();
        let refused_files = client.bans.paths();
        NamerHealth { restarts: client.restarts, refused_files }
    }

    /// What works less well because of helpers that fail.
    pub fn degradations(&self) -> Vec<Degradation> {
        let client = self.client();
        let paths = client.bans.paths();
        let refused = (!paths.is_empty()).then_some(Degradation::FilesRefused { paths });
        let replaced = (client.restarts > 0).then_some(Degradation::NamerReplaced { times: client.restarts });
        let missing = client.failed.clone().map(|why| Degradation::NoNamer { why });
        refused.into_iter().chain(replaced).chain(missing).collect()
    }

    /// Whether this is one of [`Self::degradations`].
    pub fn says(degradation: &Degradation) -> bool {
        matches!(
            degradation,
            Degradation::FilesRefused { .. } | Degradation::NamerReplaced { .. } | Degradation::NoNamer { .. }
        )
    }

    fn client(&self) -> MutexGuard<'_, Client> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place for Helpers {
    fn place_all(&mut self, pid: u32, sites: &[NewSite<'_>]) -> Vec<CallsiteStack> {
        self.client().place_all(pid, sites)
    }

    fn note_process(&mut self, pid: u32) {
        let mut client = self.client();
        if !client.bans.refuses_process(pid) {
            client.tell(&Request::Note { pid });
        }
    }

    fn forget_unused(&mut self) -> bool {
        matches!(self.client().ask(&Request::Forget), Some(Response::Forgotten(true)))
    }
}

impl Resolve for Helpers {
    fn resolve(&mut self, stack: &[Location]) -> Vec<Vec<Frame>> {
        self.client().resolve(stack)
    }
}

struct Client {
    options: HelperOptions,
    modules: Modules,
    running: Option<Running>,
    ending: Vec<Ending>,
    bans: Bans,
    patience: Patience,
    /// Names that were found. They stay when a helper is replaced.
    frames: FrameCache,
    restarts: u64,
    /// Why there is no helper.
    failed: Option<String>,
}

struct Running {
    helper: Pair,
    translation: Translation,
    /// What the helper reads now.
    works: Option<Subject>,
}

impl Client {
    /// The helper, started if there is none. `None` if there can be none now.
    fn run(&mut self) -> Option<&mut Running> {
        if self.running.is_none() {
            self.ending.retain_mut(|ending| !ending.is_gone());
            if self.ending.len() >= MOST_ENDING {
                self.failed = Some(format!(
                    "{MOST_ENDING} processes that read files wait for a file system that does not answer"
                ));
                return None;
            }
            match self.start() {
                Ok(running) => (self.running, self.failed) = (Some(running), None),
                Err(error) => self.failed = Some(format!("the process that reads files cannot be started: {error}")),
            }
        }
        self.running.as_mut()
    }

    fn start(&self) -> io::Result<Running> {
        let mut helper = Pair::start()?;
        let hello = Request::Hello {
            unwind: self.options.unwind,
            table_bytes: self.options.cache_bytes,
            refusals: Box::new(self.bans.refusals()),
        };
        helper.channel.send(&hello, Some(Instant::now() + LONGEST_WAIT))?;
        Ok(Running { helper, translation: Translation::default(), works: None })
    }

    /// Sends a request that has no answer.
    fn tell(&mut self, request: &Request) {
        let started = Instant::now();
        let wait = LONGEST_WAIT.min(self.patience.left(started));
        let Some(running) = self.run() else { return };
        if wait.is_zero() {
            return;
        }
        if let Err(error) = running.helper.channel.send(request, Some(started + wait)) {
            self.replace(started, &error);
        }
    }

    /// Sends a request and waits for its answer. `None` if there was none in time, or if failures have taken too much time already.
    fn ask(&mut self, request: &Request) -> Option<Response> {
        let started = Instant::now();
        let wait = LONGEST_WAIT.min(self.patience.left(started));
        if wait.is_zero() {
            return None;
        }
        let running = self.run()?;
        match exchange(running, request, started + wait) {
            Ok(response) => Some(response),
            Err(error) => {
                self.replace(started, &error);
                None
            }
        }
    }

    /// Ends the helper, which failed at a request that began then, and holds that against what it was reading.
    fn replace(&mut self, started: Instant, error: &io::Error) {
        let Some(Running { helper, works, .. }) = self.running.take() else { return };
        self.ending.push(helper.end());
        self.restarts += 1;
        if let Some(subject) = works {
            let how = if error.kind() == io::ErrorKind::TimedOut { Failure::Late } else { Failure::Ended };
            self.bans.blame(subject, how);
        }
        let now = Instant::now();
        self.patience.lose(now, now.saturating_duration_since(started));
    }

    fn place_all(&mut self, pid: u32, sites: &[NewSite<'_>]) -> Vec<CallsiteStack> {
        for _ in 0..MOST_TRIES {
            if self.bans.refuses_process(pid) {
                break;
            }
            let restarts = self.restarts;
            let request = Request::Place { pid, sites: sites.iter().map(Site::of).collect() };
            match self.ask(&request) {
                Some(Response::Placed { modules, stacks }) if stacks.len() == sites.len() => {
                    let Some(running) = &mut self.running else { break };
                    running.translation.learn(&self.modules, modules);
                    let stacks: Vec<CallsiteStack> =
                        stacks.into_iter().map(|stack| running.translation.stack(stack)).collect();
                    // The numbers are the tracer's own; a helper cannot make others of them.
                    if stacks.iter().zip(sites).all(|(stack, site)| stack.callsite == site.callsite) {
                        return stacks;
                    }
                    break;
                }
                None if self.restarts > restarts => {}
                _ => break,
            }
        }
        sites.iter().map(not_placed).collect()
    }

    fn resolve(&mut self, stack: &[Location]) -> Vec<Vec<Frame>> {
        let mut missing = Vec::new();
        let mut named: Vec<Option<Vec<Frame>>> = Vec::with_capacity(stack.len());
        for (depth, place) in stack.iter().enumerate() {
            let frames = self.known(place, Role::at_depth(depth));
            if frames.is_none() {
                missing.push(depth);
            }
            named.push(frames);
        }
        if !missing.is_empty() {
            self.name(stack, &missing);
            for depth in missing {
                named[depth] = self.known(&stack[depth], Role::at_depth(depth));
            }
        }
        let with_place = named.into_iter().zip(stack);
        with_place.map(|(frames, place)| frames.unwrap_or_else(|| vec![self.nameless(place)])).collect()
    }

    /// The frames of a place, if that takes no helper.
    fn known(&mut self, place: &Location, role: Role) -> Option<Vec<Frame>> {
        let Some(id) = place.module else { return Some(vec![nameless(place, None)]) };
        let module = self.modules.get(id)?;
        if matches!(module.kind, ModuleKind::Jit | ModuleKind::Anonymous) {
            return Some(vec![generated(place, &module)]);
        }
        if module.content().is_none() {
            return Some(vec![nameless(place, Some(&module))]);
        }
        let lookup = role.lookup(place.offset);
        let frames = self.frames.get((id, lookup))?;
        Some(frames.iter().map(|frame| finish(frame, place, lookup, &module)).collect())
    }

    /// Has the places at these depths of a stack named, and keeps the names.
    fn name(&mut self, stack: &[Location], depths: &[usize]) {
        for _ in 0..MOST_TRIES {
            let restarts = self.restarts;
            let asked: Vec<&Location> = depths.iter().filter_map(|depth| stack.get(*depth)).collect();
            if self.run().is_none() {
                return;
            }
            let Some(running) = &mut self.running else { return };
            let modules = running.translation.define(&self.modules, asked.iter().copied());
            let places = depths.iter().zip(&asked).map(|(depth, place)| (WireLocation::of(place), *depth > 0));
            let request = Request::Name { modules, places: places.collect() };
            match self.ask(&request) {
                Some(Response::Named(frames)) if frames.len() == asked.len() => {
                    for ((depth, place), frames) in depths.iter().zip(asked).zip(frames) {
                        let (Some(module), Some(frames)) = (place.module, frames) else { continue };
                        let key: Key = (module, Role::at_depth(*depth).lookup(place.offset));
                        self.frames.insert(key, frames.into());
                    }
                    return;
                }
                None if self.restarts > restarts => {}
                _ => return,
            }
        }
    }

    fn nameless(&self, place: &Location) -> Frame {
        let module = place.module.and_then(|id| self.modules.get(id));
        nameless(place, module.as_deref())
    }
}

/// One request and its answer.
fn exchange(running: &mut Running, request: &Request, deadline: Instant) -> io::Result<Response> {
    running.helper.channel.send(request, Some(deadline))?;
    loop {
        match running.helper.channel.receive(Some(deadline))? {
            Response::Works(subject) => running.works = subject,
            answer => {
                running.works = None;
                return Ok(answer);
            }
        }
    }
}

/// A stack whose process could not be read in time: the addresses that the hook found.
fn not_placed(site: &NewSite<'_>) -> CallsiteStack {
    let locations: Vec<Location> = site.chain.frames.iter().map(|address| Location::unmapped(*address)).collect();
    let quality = if locations.is_empty() { StackQuality::Missing } else { StackQuality::Truncated };
    CallsiteStack { callsite: site.callsite, locations, quality, reason: Some(StackReason::NotPlaced) }
}
